/// The second half of ``referenceModels``.
let moreReferenceModels = """
  qwen2.5-7b 7615616512 - hidden_size=3584 num_hidden_layers=28 num_attention_heads=28
    num_key_value_heads=4 head_dim=128 vocab_size=152064 max_position_embeddings=131072
    intermediate_size=18944 hidden_act=silu tie_word_embeddings=false model_type=qwen2
  qwen2.5-14b 14770033664 - hidden_size=5120 num_hidden_layers=48 num_attention_heads=40
    num_key_value_heads=8 head_dim=128 vocab_size=152064 max_position_embeddings=131072
    intermediate_size=13824 hidden_act=silu tie_word_embeddings=false model_type=qwen2
  qwen2.5-32b 32763876352 - hidden_size=5120 num_hidden_layers=64 num_attention_heads=40
    num_key_value_heads=8 head_dim=128 vocab_size=152064 max_position_embeddings=131072
    intermediate_size=27648 hidden_act=silu tie_word_embeddings=false model_type=qwen2
  qwen2.5-72b 72706203648 - hidden_size=8192 num_hidden_layers=80 num_attention_heads=64
    num_key_value_heads=8 head_dim=128 vocab_size=152064 max_position_embeddings=131072
    intermediate_size=29568 hidden_act=silu tie_word_embeddings=false model_type=qwen2
  qwen3-4b 4022468096 - hidden_size=2560 num_hidden_layers=36 num_attention_heads=32
    num_key_value_heads=8 head_dim=128 vocab_size=151936 max_position_embeddings=40960
    intermediate_size=9728 hidden_act=silu tie_word_embeddings=true model_type=qwen3
  qwen3-14b 14768307200 - hidden_size=5120 num_hidden_layers=40 num_attention_heads=40
    num_key_value_heads=8 head_dim=128 vocab_size=151936 max_position_embeddings=40960
    intermediate_size=17408 hidden_act=silu tie_word_embeddings=false model_type=qwen3
  pythia-70m 70426624 - hidden_size=512 num_hidden_layers=6 num_attention_heads=8
    num_key_value_heads=8 head_dim=64 vocab_size=50304 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=2048 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  pythia-160m 162322944 - hidden_size=768 num_hidden_layers=12 num_attention_heads=12
    num_key_value_heads=12 head_dim=64 vocab_size=50304 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=3072 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  pythia-410m 405334016 - hidden_size=1024 num_hidden_layers=24 num_attention_heads=16
    num_key_value_heads=16 head_dim=64 vocab_size=50304 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=4096 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  pythia-1b 1011781632 - hidden_size=2048 num_hidden_layers=16 num_attention_heads=8
    num_key_value_heads=8 head_dim=256 vocab_size=50304 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=8192 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  pythia-1.4b 1414647808 - hidden_size=2048 num_hidden_layers=24 num_attention_heads=16
    num_key_value_heads=16 head_dim=128 vocab_size=50304 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=8192 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  pythia-2.8b 2775208960 - hidden_size=2560 num_hidden_layers=32 num_attention_heads=32
    num_key_value_heads=32 head_dim=80 vocab_size=50304 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=10240 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  pythia-6.9b 6857302016 - hidden_size=4096 num_hidden_layers=32 num_attention_heads=32
    num_key_value_heads=32 head_dim=128 vocab_size=50432 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=16384 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  pythia-12b 11846072320 - hidden_size=5120 num_hidden_layers=36 num_attention_heads=40
    num_key_value_heads=40 head_dim=128 vocab_size=50688 max_position_embeddings=2048
    model_type=gpt_neox intermediate_size=20480 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25
  falcon-7b 6921720704 - hidden_size=4544 num_hidden_layers=32 num_attention_heads=71
    num_key_value_heads=1 head_dim=64 vocab_size=65024 max_position_embeddings=2048
    model_type=falcon intermediate_size=18176 hidden_act=gelu tie_word_embeddings=true
    parallel_attn=true bias=false multi_query=true new_decoder_architecture=false
    shared_attention_norm=true
  falcon-40b 41303293952 - hidden_size=8192 num_hidden_layers=60 num_attention_heads=128
    num_key_value_heads=8 head_dim=64 vocab_size=65024 max_position_embeddings=2048
    model_type=falcon intermediate_size=32768 hidden_act=gelu tie_word_embeddings=true
    parallel_attn=true bias=false multi_query=false new_decoder_architecture=true
    shared_attention_norm=false
  falcon-180b 178557088768 - hidden_size=14848 num_hidden_layers=80 num_attention_heads=232
    num_key_value_heads=8 head_dim=64 vocab_size=65024 max_position_embeddings=2048
    model_type=falcon intermediate_size=59392 hidden_act=gelu tie_word_embeddings=true
    parallel_attn=true bias=false multi_query=false new_decoder_architecture=true
    shared_attention_norm=false
  gpt2 124439808 - model_type=gpt2 hidden_size=768 num_hidden_layers=12 num_attention_heads=12
    num_key_value_heads=12 intermediate_size=3072 vocab_size=50257 hidden_act=gelu
    tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=1024
  gpt2-medium 354823168 - model_type=gpt2 hidden_size=1024 num_hidden_layers=24
    num_attention_heads=16 num_key_value_heads=16 intermediate_size=4096 vocab_size=50257
    hidden_act=gelu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=1024
  gpt2-large 774030080 - model_type=gpt2 hidden_size=1280 num_hidden_layers=36
    num_attention_heads=20 num_key_value_heads=20 intermediate_size=5120 vocab_size=50257
    hidden_act=gelu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=1024
  gpt2-xl 1557611200 - model_type=gpt2 hidden_size=1600 num_hidden_layers=48
    num_attention_heads=25 num_key_value_heads=25 intermediate_size=6400 vocab_size=50257
    hidden_act=gelu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=1024
  opt-125m 125239296 - model_type=opt hidden_size=768 num_hidden_layers=12 num_attention_heads=12
    num_key_value_heads=12 intermediate_size=3072 vocab_size=50272 hidden_act=relu
    tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=2048
  opt-1.3b 1315758080 - model_type=opt hidden_size=2048 num_hidden_layers=24
    num_attention_heads=32 num_key_value_heads=32 intermediate_size=8192 vocab_size=50272
    hidden_act=relu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=2048
  opt-6.7b 6658473984 - model_type=opt hidden_size=4096 num_hidden_layers=32
    num_attention_heads=32 num_key_value_heads=32 intermediate_size=16384 vocab_size=50272
    hidden_act=relu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=2048
  opt-13b 12853473280 - model_type=opt hidden_size=5120 num_hidden_layers=40
    num_attention_heads=40 num_key_value_heads=40 intermediate_size=20480 vocab_size=50272
    hidden_act=relu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=2048
  opt-66b 65719701504 - model_type=opt hidden_size=9216 num_hidden_layers=64
    num_attention_heads=72 num_key_value_heads=72 intermediate_size=36864 vocab_size=50272
    hidden_act=relu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=2048
  opt-175b 174604468224 - model_type=opt hidden_size=12288 num_hidden_layers=96
    num_attention_heads=96 num_key_value_heads=96 intermediate_size=49152 vocab_size=50272
    hidden_act=relu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=2048
  bloom-560m 559214592 - model_type=bloom hidden_size=1024 num_hidden_layers=24
    num_attention_heads=16 num_key_value_heads=16 intermediate_size=4096 vocab_size=250880
    hidden_act=gelu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=alibi
  bloom-7b1 7069016064 - model_type=bloom hidden_size=4096 num_hidden_layers=30
    num_attention_heads=32 num_key_value_heads=32 intermediate_size=16384 vocab_size=250880
    hidden_act=gelu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=alibi
  mt-nlg-530b 529581813760 - model_type=gpt2 hidden_size=20480 num_hidden_layers=105
    num_attention_heads=128 num_key_value_heads=128 intermediate_size=81920 vocab_size=50272
    hidden_act=gelu tie_word_embeddings=true norm=layernorm use_bias=true position_embedding=learned
    max_position_embeddings=2048
  bloom-176b 176247271424 - model_type=bloom hidden_size=14336 num_hidden_layers=70
    num_attention_heads=112 num_key_value_heads=112 intermediate_size=57344 vocab_size=250880
    hidden_act=gelu tie_word_embeddings=true position_embedding=alibi norm=layernorm use_bias=true
  gpt-neox-20b 20554567680 - model_type=gpt_neox hidden_size=6144 num_hidden_layers=44
    num_attention_heads=64 num_key_value_heads=64 intermediate_size=24576 vocab_size=50432
    max_position_embeddings=2048 hidden_act=gelu tie_word_embeddings=false
    use_parallel_residual=true rotary_pct=0.25 norm=layernorm use_bias=true
  gpt3-125m 125226240 - model_type=gpt2 hidden_size=768 num_hidden_layers=12
    num_attention_heads=12 num_key_value_heads=12 intermediate_size=3072 vocab_size=50257
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  gpt3-350m 355871744 - model_type=gpt2 hidden_size=1024 num_hidden_layers=24
    num_attention_heads=16 num_key_value_heads=16 intermediate_size=4096 vocab_size=50257
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  gpt3-760m 760300032 - model_type=gpt2 hidden_size=1536 num_hidden_layers=24
    num_attention_heads=16 num_key_value_heads=16 intermediate_size=6144 vocab_size=50257
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  gpt3-1.3b 1315723264 - model_type=gpt2 hidden_size=2048 num_hidden_layers=24
    num_attention_heads=16 num_key_value_heads=16 intermediate_size=8192 vocab_size=50257
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  gpt3-2.7b 2651553280 - model_type=gpt2 hidden_size=2560 num_hidden_layers=32
    num_attention_heads=32 num_key_value_heads=32 intermediate_size=10240 vocab_size=50257
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  gpt3-6.7b 6658404352 - model_type=gpt2 hidden_size=4096 num_hidden_layers=32
    num_attention_heads=32 num_key_value_heads=32 intermediate_size=16384 vocab_size=50257
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  gpt3-13b 12853386240 - model_type=gpt2 hidden_size=5120 num_hidden_layers=40
    num_attention_heads=40 num_key_value_heads=40 intermediate_size=20480 vocab_size=50257
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  gpt3-175b 174615846912 - model_type=gpt2 hidden_size=12288 num_hidden_layers=96
    num_attention_heads=96 num_key_value_heads=96 intermediate_size=49152 vocab_size=51200
    max_position_embeddings=2048 position_embedding=learned hidden_act=gelu tie_word_embeddings=true
    norm=layernorm use_bias=true
  megatron-22b 22074273792 - model_type=gpt2 hidden_size=6144 num_hidden_layers=48
    num_attention_heads=64 num_key_value_heads=64 head_dim=96 intermediate_size=24576
    vocab_size=51200 max_position_embeddings=2048 position_embedding=learned hidden_act=gelu
    tie_word_embeddings=true norm=layernorm use_bias=true
  megatron-1t 1008038758400 - model_type=gpt2 hidden_size=25600 num_hidden_layers=128
    num_attention_heads=160 num_key_value_heads=160 head_dim=160 intermediate_size=102400
    vocab_size=51200 max_position_embeddings=2048 position_embedding=learned hidden_act=gelu
    tie_word_embeddings=true norm=layernorm use_bias=true
  mpt-125m 125311488 - model_type=mpt hidden_size=768 num_hidden_layers=12 num_attention_heads=12
    num_key_value_heads=12 intermediate_size=3072 vocab_size=50368 max_position_embeddings=2048
    hidden_act=gelu tie_word_embeddings=true use_bias=true norm=layernorm position_embedding=learned
  mpt-350m 355985408 - model_type=mpt hidden_size=1024 num_hidden_layers=24 num_attention_heads=16
    num_key_value_heads=16 intermediate_size=4096 vocab_size=50368 max_position_embeddings=2048
    hidden_act=gelu tie_word_embeddings=true use_bias=true norm=layernorm position_embedding=learned
  mpt-760m 760470528 - model_type=mpt hidden_size=1536 num_hidden_layers=24 num_attention_heads=12
    num_key_value_heads=12 intermediate_size=6144 vocab_size=50368 max_position_embeddings=2048
    hidden_act=gelu tie_word_embeddings=true use_bias=true norm=layernorm position_embedding=learned
  mpt-1b 1315950592 - model_type=mpt hidden_size=2048 num_hidden_layers=24 num_attention_heads=16
    num_key_value_heads=16 intermediate_size=8192 vocab_size=50368 max_position_embeddings=2048
    hidden_act=gelu tie_word_embeddings=true use_bias=true norm=layernorm position_embedding=learned
  mpt-3b 2651837440 - model_type=mpt hidden_size=2560 num_hidden_layers=32 num_attention_heads=20
    num_key_value_heads=20 intermediate_size=10240 vocab_size=50368 max_position_embeddings=2048
    hidden_act=gelu tie_word_embeddings=true use_bias=true norm=layernorm position_embedding=learned
  mpt-7b 6658859008 - model_type=mpt hidden_size=4096 num_hidden_layers=32 num_attention_heads=32
    num_key_value_heads=32 intermediate_size=16384 vocab_size=50368 max_position_embeddings=2048
    hidden_act=gelu tie_word_embeddings=true use_bias=true norm=layernorm position_embedding=learned
  mpt-13b 12853954560 - model_type=mpt hidden_size=5120 num_hidden_layers=40
    num_attention_heads=40 num_key_value_heads=40 intermediate_size=20480 vocab_size=50368
    max_position_embeddings=2048 hidden_act=gelu tie_word_embeddings=true use_bias=true
    norm=layernorm position_embedding=learned
  mpt-30b 29975214080 - model_type=mpt hidden_size=7168 num_hidden_layers=48
    num_attention_heads=56 num_key_value_heads=56 intermediate_size=28672 vocab_size=50368
    max_position_embeddings=2048 hidden_act=gelu tie_word_embeddings=true use_bias=true
    norm=layernorm position_embedding=learned
  mpt-70b 64862437376 - model_type=mpt hidden_size=8192 num_hidden_layers=80
    num_attention_heads=64 num_key_value_heads=64 intermediate_size=32768 vocab_size=50368
    max_position_embeddings=2048 hidden_act=gelu tie_word_embeddings=true use_bias=true
    norm=layernorm position_embedding=learned
  """
