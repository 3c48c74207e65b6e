/// Configurations of published models in Hugging Face key names, with their exact parameter counts.
///
/// Each entry: name, parameters (`-` where none is published or derived), parameters active per
/// token, then keys. From the configuration files kept by ai-dynamo/aiconfigurator (095f58a),
/// Lightning-AI/litgpt (2685705), cli99/llm-analysis (d841e40), EleutherAI/gpt-neox (ea7aefd),
/// calculon-ai/calculon (caa4b11) and mosaicml/llm-foundry (8c8dd48); counts as published on
/// huggingface.co (`safetensors.total`), in the papers, or added up tensor by tensor.
let referenceModels = """
  minimax-m2.5 228689764864 11030553088 model_type=minimax_m2 num_hidden_layers=62
    hidden_size=3072 num_attention_heads=48 num_key_value_heads=8 head_dim=128
    intermediate_size=1536 vocab_size=200064 num_experts_per_tok=8 num_local_experts=256
    max_position_embeddings=196608 rotary_dim=64 hidden_act=silu tie_word_embeddings=false
    use_qk_norm=true qk_norm_type=per_layer use_routing_bias=true use_mtp=true
    mtp_transformer_layers=1 num_mtp_modules=3 shared_intermediate_size=0
  minimax-m2.7 228689764864 11030553088 head_dim=128 hidden_act=silu hidden_size=3072
    intermediate_size=1536 max_position_embeddings=204800 model_type=minimax_m2
    mtp_transformer_layers=1 num_attention_heads=48 num_experts_per_tok=8 num_hidden_layers=62
    num_key_value_heads=8 num_local_experts=256 num_mtp_modules=3 qk_norm_type=per_layer
    rotary_dim=64 shared_intermediate_size=0 tie_word_embeddings=false use_mtp=true use_qk_norm=true
    use_routing_bias=true vocab_size=200064
  qwen3-0.6b 596049920 - attention_bias=false head_dim=128 hidden_act=silu hidden_size=1024
    intermediate_size=3072 max_position_embeddings=40960 model_type=qwen3 num_attention_heads=16
    num_hidden_layers=28 num_key_value_heads=8 tie_word_embeddings=true use_sliding_window=false
    vocab_size=151936
  qwen3-1.7b 1720574976 - attention_bias=false head_dim=128 hidden_act=silu hidden_size=2048
    intermediate_size=6144 max_position_embeddings=40960 model_type=qwen3 num_attention_heads=16
    num_hidden_layers=28 num_key_value_heads=8 tie_word_embeddings=true use_sliding_window=false
    vocab_size=151936
  qwen3-235b-a22b 235093634560 22190763520 attention_bias=false decoder_sparse_step=1 head_dim=128
    hidden_act=silu hidden_size=4096 intermediate_size=12288 max_position_embeddings=40960
    model_type=qwen3_moe moe_intermediate_size=1536 num_attention_heads=64 num_experts=128
    num_experts_per_tok=8 num_hidden_layers=94 num_key_value_heads=4 tie_word_embeddings=false
    use_sliding_window=false vocab_size=151936
  qwen3-30b-a3b 30532122624 3353032704 attention_bias=false decoder_sparse_step=1 head_dim=128
    hidden_act=silu hidden_size=2048 intermediate_size=6144 max_position_embeddings=40960
    model_type=qwen3_moe moe_intermediate_size=768 num_attention_heads=32 num_experts=128
    num_experts_per_tok=8 num_hidden_layers=48 num_key_value_heads=4 tie_word_embeddings=false
    use_sliding_window=false vocab_size=151936
  qwen3-32b 32762123264 - attention_bias=false head_dim=128 hidden_act=silu hidden_size=5120
    intermediate_size=25600 max_position_embeddings=40960 model_type=qwen3 num_attention_heads=64
    num_hidden_layers=64 num_key_value_heads=8 tie_word_embeddings=false use_sliding_window=false
    vocab_size=151936
  qwen3-8b 8190735360 - attention_bias=false head_dim=128 hidden_act=silu hidden_size=4096
    intermediate_size=12288 max_position_embeddings=40960 model_type=qwen3 num_attention_heads=32
    num_hidden_layers=36 num_key_value_heads=8 tie_word_embeddings=false use_sliding_window=false
    vocab_size=151936
  qwen3-coder-480b-a35b 480154875392 35474765312 decoder_sparse_step=1 head_dim=128
    hidden_act=silu hidden_size=6144 intermediate_size=8192 max_position_embeddings=262144
    model_type=qwen3_moe moe_intermediate_size=2560 num_attention_heads=96 num_experts=160
    num_experts_per_tok=8 num_hidden_layers=62 num_key_value_heads=8 qkv_bias=false
    shared_expert_intermediate_size=0 tie_word_embeddings=false use_qk_norm=true
    use_sliding_window=false vocab_size=151936
  qwen3-vl-235b-a22b - - model_type=qwen3_vl_moe_text tie_word_embeddings=false
    attention_bias=false decoder_sparse_step=1 head_dim=128 hidden_act=silu hidden_size=4096
    intermediate_size=12288 max_position_embeddings=262144 moe_intermediate_size=1536
    num_attention_heads=64 num_experts=128 num_experts_per_tok=8 num_hidden_layers=94
    num_key_value_heads=4 vocab_size=151936
  qwen3-vl-2b - - model_type=qwen3_vl_text tie_word_embeddings=true attention_bias=false
    head_dim=128 hidden_act=silu hidden_size=2048 intermediate_size=6144
    max_position_embeddings=262144 num_attention_heads=16 num_hidden_layers=28 num_key_value_heads=8
    vocab_size=151936
  qwen3-vl-30b-a3b - - model_type=qwen3_vl_moe_text tie_word_embeddings=false attention_bias=false
    decoder_sparse_step=1 head_dim=128 hidden_act=silu hidden_size=2048 intermediate_size=6144
    max_position_embeddings=262144 moe_intermediate_size=768 num_attention_heads=32 num_experts=128
    num_experts_per_tok=8 num_hidden_layers=48 num_key_value_heads=4 vocab_size=151936
  qwen3-vl-32b - - model_type=qwen3_vl_text tie_word_embeddings=false attention_bias=false
    head_dim=128 hidden_act=silu hidden_size=5120 intermediate_size=25600
    max_position_embeddings=262144 num_attention_heads=64 num_hidden_layers=64 num_key_value_heads=8
    vocab_size=151936
  qwen3-vl-4b - - model_type=qwen3_vl_text tie_word_embeddings=true attention_bias=false
    head_dim=128 hidden_act=silu hidden_size=2560 intermediate_size=9728
    max_position_embeddings=262144 num_attention_heads=32 num_hidden_layers=36 num_key_value_heads=8
    vocab_size=151936
  qwen3-vl-8b - - model_type=qwen3_vl_text tie_word_embeddings=false attention_bias=false
    head_dim=128 hidden_act=silu hidden_size=4096 intermediate_size=12288
    max_position_embeddings=262144 num_attention_heads=32 num_hidden_layers=36 num_key_value_heads=8
    vocab_size=151936
  mimo-7b-base - - model_type=mimo num_hidden_layers=36 hidden_size=4096 num_attention_heads=32
    num_key_value_heads=8 head_dim=128 intermediate_size=11008 vocab_size=151680
    max_position_embeddings=32768 hidden_act=silu attention_bias=true sliding_window=32768
    use_sliding_window=false use_mrope=false num_nextn_predict_layers=1 tie_word_embeddings=false
  deepseek-r1 671026419200 37552297472 attention_bias=false first_k_dense_replace=3
    hidden_act=silu hidden_size=7168 intermediate_size=18432 kv_lora_rank=512
    max_position_embeddings=163840 model_type=deepseek_v3 moe_intermediate_size=2048
    moe_layer_freq=1 n_group=8 n_routed_experts=256 n_shared_experts=1 num_attention_heads=128
    num_experts_per_tok=8 num_hidden_layers=61 num_key_value_heads=128 num_nextn_predict_layers=1
    q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64 tie_word_embeddings=false topk_group=4
    v_head_dim=128 vocab_size=129280
  deepseek-v3 671026419200 37552297472 attention_bias=false first_k_dense_replace=3
    hidden_act=silu hidden_size=7168 intermediate_size=18432 kv_lora_rank=512
    max_position_embeddings=163840 model_type=deepseek_v3 moe_intermediate_size=2048
    moe_layer_freq=1 n_group=8 n_routed_experts=256 n_shared_experts=1 num_attention_heads=128
    num_experts_per_tok=8 num_hidden_layers=61 num_key_value_heads=128 num_nextn_predict_layers=1
    q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64 tie_word_embeddings=false topk_group=4
    v_head_dim=128 vocab_size=129280
  deepseek-v3.2 671877944064 38403822336 attention_bias=false first_k_dense_replace=3
    hidden_act=silu hidden_size=7168 intermediate_size=18432 kv_lora_rank=512
    max_position_embeddings=163840 model_type=deepseek_v32 moe_intermediate_size=2048
    moe_layer_freq=1 n_group=8 n_routed_experts=256 n_shared_experts=1 num_attention_heads=128
    num_experts_per_tok=8 num_hidden_layers=61 num_key_value_heads=128 num_nextn_predict_layers=1
    q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64 tie_word_embeddings=false topk_group=4
    v_head_dim=128 vocab_size=129280 index_head_dim=128 index_n_heads=64 index_topk=2048
  llama-4-maverick-17b-128e - - model_type=llama4_text attention_bias=false
    attention_chunk_size=8192 head_dim=128 hidden_act=silu hidden_size=5120
    interleave_moe_layer_step=2 intermediate_size=8192 intermediate_size_mlp=16384
    max_position_embeddings=1048576 num_attention_heads=40 num_experts_per_tok=1
    num_hidden_layers=48 num_key_value_heads=8 num_local_experts=128 use_qk_norm=false
    vocab_size=202048
  llama-4-scout-17b-16e - - model_type=llama4_text attention_bias=false attention_chunk_size=8192
    head_dim=128 hidden_act=silu hidden_size=5120 interleave_moe_layer_step=1 intermediate_size=8192
    intermediate_size_mlp=16384 max_position_embeddings=10485760 num_attention_heads=40
    num_experts_per_tok=1 num_hidden_layers=48 num_key_value_heads=8 num_local_experts=16
    use_qk_norm=true vocab_size=202048
  llama-3.1-405b 405853388800 - attention_bias=false hidden_act=silu hidden_size=16384
    intermediate_size=53248 max_position_embeddings=131072 mlp_bias=false model_type=llama
    num_attention_heads=128 num_hidden_layers=126 num_key_value_heads=8 tie_word_embeddings=false
    vocab_size=128256
  llama-3.1-70b 70553706496 - attention_bias=false hidden_act=silu hidden_size=8192
    intermediate_size=28672 max_position_embeddings=131072 mlp_bias=false model_type=llama
    num_attention_heads=64 num_hidden_layers=80 num_key_value_heads=8 tie_word_embeddings=false
    vocab_size=128256
  llama-3.1-8b 8030261248 - attention_bias=false hidden_act=silu hidden_size=4096
    intermediate_size=14336 max_position_embeddings=131072 mlp_bias=false model_type=llama
    num_attention_heads=32 num_hidden_layers=32 num_key_value_heads=8 tie_word_embeddings=false
    vocab_size=128256
  mixtral-8x22b 140620634112 39152031744 hidden_act=silu hidden_size=6144 intermediate_size=16384
    max_position_embeddings=65536 model_type=mixtral num_attention_heads=48 num_experts_per_tok=2
    num_hidden_layers=56 num_key_value_heads=8 num_local_experts=8 tie_word_embeddings=false
    vocab_size=32000
  mixtral-8x7b 46702792704 12879925248 hidden_act=silu hidden_size=4096 intermediate_size=14336
    max_position_embeddings=32768 model_type=mixtral num_attention_heads=32 num_experts_per_tok=2
    num_hidden_layers=32 num_key_value_heads=8 num_local_experts=8 tie_word_embeddings=false
    vocab_size=32000
  kimi-k2 1026408232448 32861500928 attention_bias=false first_k_dense_replace=1 hidden_act=silu
    hidden_size=7168 intermediate_size=18432 kv_lora_rank=512 max_position_embeddings=131072
    model_type=kimi_k2 moe_intermediate_size=2048 moe_layer_freq=1 n_group=1 n_routed_experts=384
    n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=8 num_hidden_layers=61
    num_key_value_heads=64 num_nextn_predict_layers=0 q_lora_rank=1536 qk_nope_head_dim=128
    qk_rope_head_dim=64 tie_word_embeddings=false topk_group=1 v_head_dim=128 vocab_size=163840
  kimi-k2.5 1026408232448 32861500928 model_type=kimi_k2 tie_word_embeddings=false
    add_cross_attention=false attention_bias=false chunk_size_feed_forward=0 diversity_penalty=0
    do_sample=false early_stopping=false encoder_no_repeat_ngram_size=0 first_k_dense_replace=1
    hidden_act=silu hidden_size=7168 intermediate_size=18432 is_decoder=false
    is_encoder_decoder=false kv_lora_rank=512 length_penalty=1 max_length=20
    max_position_embeddings=262144 min_length=0 moe_intermediate_size=2048 moe_layer_freq=1
    n_group=1 n_routed_experts=384 n_shared_experts=1 no_repeat_ngram_size=0 num_attention_heads=64
    num_beam_groups=1 num_beams=1 num_experts_per_tok=8 num_hidden_layers=61 num_key_value_heads=64
    num_nextn_predict_layers=0 num_return_sequences=1 output_attentions=false
    output_hidden_states=false output_scores=false q_lora_rank=1536 qk_nope_head_dim=128
    qk_rope_head_dim=64 remove_invalid_values=false repetition_penalty=1 return_dict=true
    return_dict_in_generate=false temperature=1 tf_legacy_loss=false tie_encoder_decoder=false
    top_k=50 top_p=1 topk_group=1 torchscript=false typical_p=1 use_bfloat16=false v_head_dim=128
    vocab_size=163840
  gpt-oss-120b 116829156672 5711982912 attention_bias=true experts_per_token=4 head_dim=64
    hidden_act=silu hidden_size=2880 intermediate_size=2880 max_position_embeddings=131072
    model_type=gpt_oss num_attention_heads=64 num_experts_per_tok=4 num_hidden_layers=36
    num_key_value_heads=8 num_local_experts=128 sliding_window=128 tie_word_embeddings=false
    vocab_size=201088
  gpt-oss-20b 20914757184 4187440704 attention_bias=true experts_per_token=4 head_dim=64
    hidden_act=silu hidden_size=2880 intermediate_size=2880 max_position_embeddings=131072
    model_type=gpt_oss num_attention_heads=64 num_experts_per_tok=4 num_hidden_layers=24
    num_key_value_heads=8 num_local_experts=32 sliding_window=128 tie_word_embeddings=false
    vocab_size=201088
  llama-2-7b 6738415616 - hidden_size=4096 num_hidden_layers=32 num_attention_heads=32
    num_key_value_heads=32 head_dim=128 vocab_size=32000 max_position_embeddings=4096
    intermediate_size=11008 hidden_act=silu tie_word_embeddings=false model_type=llama
  llama-2-13b 13015864320 - hidden_size=5120 num_hidden_layers=40 num_attention_heads=40
    num_key_value_heads=40 head_dim=128 vocab_size=32000 max_position_embeddings=4096
    intermediate_size=13824 hidden_act=silu tie_word_embeddings=false model_type=llama
  llama-2-70b 68976648192 - hidden_size=8192 num_hidden_layers=80 num_attention_heads=64
    num_key_value_heads=8 head_dim=128 vocab_size=32000 max_position_embeddings=4096
    intermediate_size=28672 hidden_act=silu tie_word_embeddings=false model_type=llama
  llama-3-8b 8030261248 - hidden_size=4096 num_hidden_layers=32 num_attention_heads=32
    num_key_value_heads=8 head_dim=128 vocab_size=128256 max_position_embeddings=8192
    intermediate_size=14336 hidden_act=silu tie_word_embeddings=false model_type=llama
  llama-3-70b 70553706496 - hidden_size=8192 num_hidden_layers=80 num_attention_heads=64
    num_key_value_heads=8 head_dim=128 vocab_size=128256 max_position_embeddings=8192
    intermediate_size=28672 hidden_act=silu tie_word_embeddings=false model_type=llama
  llama-3.2-1b 1235814400 - hidden_size=2048 num_hidden_layers=16 num_attention_heads=32
    num_key_value_heads=8 head_dim=64 vocab_size=128256 max_position_embeddings=131072
    intermediate_size=8192 hidden_act=silu tie_word_embeddings=true model_type=llama
  llama-3.2-3b 3212749824 - hidden_size=3072 num_hidden_layers=28 num_attention_heads=24
    num_key_value_heads=8 head_dim=128 vocab_size=128256 max_position_embeddings=131072
    intermediate_size=8192 hidden_act=silu tie_word_embeddings=true model_type=llama
  open-llama-3b 3426473600 - hidden_size=3200 num_hidden_layers=26 num_attention_heads=32
    num_key_value_heads=32 head_dim=100 vocab_size=32000 max_position_embeddings=2048
    intermediate_size=8640 hidden_act=silu tie_word_embeddings=false model_type=llama
  mistral-7b 7241732096 - hidden_size=4096 num_hidden_layers=32 num_attention_heads=32
    num_key_value_heads=8 head_dim=128 vocab_size=32000 max_position_embeddings=4096
    intermediate_size=14336 hidden_act=silu tie_word_embeddings=false model_type=llama
  tinyllama-1.1b 1100048384 - hidden_size=2048 num_hidden_layers=22 num_attention_heads=32
    num_key_value_heads=4 head_dim=64 vocab_size=32000 max_position_embeddings=2048
    intermediate_size=5632 hidden_act=silu tie_word_embeddings=false model_type=llama
  olmo-2-7b 7298617344 - hidden_size=4096 num_hidden_layers=32 num_attention_heads=32
    num_key_value_heads=32 head_dim=128 vocab_size=100352 max_position_embeddings=4096
    intermediate_size=11008 hidden_act=silu tie_word_embeddings=false model_type=olmo2
  olmo-2-13b 13716198400 - hidden_size=5120 num_hidden_layers=40 num_attention_heads=40
    num_key_value_heads=40 head_dim=128 vocab_size=100352 max_position_embeddings=4096
    intermediate_size=13824 hidden_act=silu tie_word_embeddings=false model_type=olmo2
  phi-4 14659507200 - hidden_size=5120 num_hidden_layers=40 num_attention_heads=40
    num_key_value_heads=10 head_dim=128 vocab_size=100352 max_position_embeddings=16384
    intermediate_size=17920 hidden_act=silu tie_word_embeddings=false model_type=llama
  qwen2.5-0.5b 494032768 - hidden_size=896 num_hidden_layers=24 num_attention_heads=14
    num_key_value_heads=2 head_dim=64 vocab_size=151936 max_position_embeddings=32768
    intermediate_size=4864 hidden_act=silu tie_word_embeddings=true model_type=qwen2
  qwen2.5-1.5b 1543714304 - hidden_size=1536 num_hidden_layers=28 num_attention_heads=12
    num_key_value_heads=2 head_dim=128 vocab_size=151936 max_position_embeddings=131072
    intermediate_size=8960 hidden_act=silu tie_word_embeddings=true model_type=qwen2
  qwen2.5-3b 3085938688 - hidden_size=2048 num_hidden_layers=36 num_attention_heads=16
    num_key_value_heads=2 head_dim=128 vocab_size=151936 max_position_embeddings=32768
    intermediate_size=11008 hidden_act=silu tie_word_embeddings=true model_type=qwen2
  """
