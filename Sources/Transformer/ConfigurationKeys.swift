/// The keys of model configurations, by whether anything follows from them here.
public enum ConfigurationKeys {
  /// Keys that decide something about the architecture.
  public static let understood: [String] = [
    // Sizes.
    "model_type", "num_hidden_layers", "n_layer", "n_layers", "num_layers", "hidden_size",
    "n_embd", "n_embed", "d_model", "num_attention_heads", "n_head", "n_heads",
    "num_key_value_heads", "num_kv_heads", "head_dim", "intermediate_size", "n_inner", "ffn_dim",
    "ffn_hidden_size", "expansion_ratio", "vocab_size", "tie_word_embeddings",
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx",
    // Non-linearity, norms, biases, positions, dropout.
    "hidden_act", "activation_function", "hidden_activation", "mlp_hidden_act", "norm",
    "use_bias", "bias", "no_bias", "attention_bias", "qkv_bias", "mlp_bias", "lm_head_bias",
    "position_embedding", "alibi", "learned_pos_emb", "attention_dropout", "attn_pdrop",
    "hidden_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop",
    "dropout", "qk_norm", "use_qk_norm", "qk_layernorm", "qk_norm_type", "attn_config",
    // Blocks.
    "parallel_attn", "use_parallel_residual", "multi_query", "new_decoder_architecture",
    "num_ln_in_parallel_attn", "shared_attention_norm", "do_layer_norm_before",
    "word_embed_proj_dim", "text_config", "language_config", "llm_config",
    // Windows.
    "sliding_window", "use_sliding_window", "sliding_window_pattern", "layer_types",
    "attention_chunk_size", "no_rope_layers", "hybrid_layer_pattern", "swa_num_attention_heads",
    "swa_num_key_value_heads", "swa_head_dim", "swa_v_head_dim", "add_swa_attention_sink_bias",
    "add_full_attention_sink_bias",
    // Latent attention.
    "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
    // Layers one by one.
    "block_configs",
    // Sparse attention.
    "index_topk", "index_n_heads", "index_head_dim", "indexer_types",
    // Mixtures.
    "num_local_experts", "num_experts", "n_routed_experts", "num_experts_per_tok",
    "experts_per_token", "num_experts_per_token", "moe_intermediate_size", "n_shared_experts",
    "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
    "shared_intermediate_size", "use_routing_bias", "first_k_dense_replace", "moe_layer_freq",
    "decoder_sparse_step", "mlp_only_layers", "interleave_moe_layer_step", "moe_layers",
    "intermediate_size_mlp", "n_group", "topk_group", "num_nextn_predict_layers",
    "mtp_num_hidden_layers", "use_mtp", "num_mtp_modules", "mtp_transformer_layers",
    "moe_latent_size", "num_shared_experts", "mlp_layer_types",
    // Hybrids: which layers do what.
    "hybrid_override_pattern", "layers_block_type", "attn_layer_period", "attn_layer_offset",
    "expert_layer_period", "expert_layer_offset", "attn_layer_indices", "attn_type_list",
    "block_types", "full_attention_interval", "attention_window_size",
    "position_embedding_type", "attention_head_dim", "attn_output_gate",
    // Hybrids: state spaces and linear attention.
    "mamba_num_heads", "mamba_n_heads", "num_heads", "mamba_head_dim", "mamba_d_head",
    "mamba_d_ssm", "n_groups", "mamba_n_groups", "ssm_state_size", "state_size", "mamba_d_state",
    "conv_kernel", "mamba_d_conv", "chunk_size", "mamba_chunk_size", "expand", "mamba_expand",
    "time_step_rank", "mamba_dt_rank", "use_conv_bias", "mamba_conv_bias", "mamba_proj_bias",
    "mamba_rms_norm", "linear_num_value_heads", "linear_num_key_heads", "linear_value_head_dim",
    "linear_key_head_dim", "linear_conv_kernel_dim", "linear_attn_config", "kda_layers",
    "short_conv_kernel_size", "use_full_rank_gate", "block_size", "lru_width", "conv1d_width",
  ]

  /// The understood keys, to look one up.
  public static let understoodSet = Set(understood)
  /// All keys, to look one up.
  public static let all = understoodSet.union(ignored)

  /// Keys known to change neither parameters, arithmetic nor memory as modelled here.
  public static let ignored: [String] = [
    "_name_or_path", "add_cross_attention", "apply_residual_connection_post_layernorm",
    "architectures", "attention_probs_dropout", "attention_softmax_in_fp32",
    "attn_implementation",
    "attn_logit_softcapping", "attn_scale", "attn_temperature_tuning", "auto_map",
    "aux_loss_alpha", "bad_words_ids", "begin_suppress_tokens", "boi_token_index", "bos_token_id",
    "cache_implementation", "chunk_size_feed_forward", "classifier_dropout", "cls_token_id",
    "cross_attention_hidden_size", "decoder_start_token_id", "diversity_penalty", "do_sample",
    "dtype", "early_stopping", "emb_pdrop", "embd_pdrop", "embedding_fraction",
    "encoder_no_repeat_ngram_size", "eoi_token_index", "eos_token_id", "ep_size",
    "exponential_decay_length_penalty", "final_logit_softcapping", "finetuning_task",
    "floor_scale", "forced_bos_token_id", "forced_eos_token_id", "gelu_approximate",
    "gradient_checkpointing", "head_dim_original", "id2label", "image_token_id",
    "image_token_index", "init_config", "init_device", "initial_context_length",
    "initializer_range", "is_decoder", "is_encoder_decoder", "label2id",
    "layer_norm_elementwise_affine", "layer_norm_eps", "layer_norm_epsilon", "layerdrop",
    "length_penalty", "log_softmax_eps", "logit_scale", "logit_softcapping", "mamba_ssm_dtype",
    "masked_softmax_fusion", "max_length", "max_window_layers", "min_length", "mlm",
    "mm_tokens_per_image", "moe_aux_loss_coeff", "moe_router_dtype", "moe_z_loss_coeff",
    "mtp_use_dedicated_embeddings", "n_head_kv", "n_special", "no_repeat_ngram_size", "norm_eps",
    "norm_topk_prob", "norm_type", "num_beam_groups", "num_beams", "num_return_sequences",
    "original_max_position_embeddings", "output_attentions", "output_hidden_states", "output_past",
    "output_router_logits", "output_scores", "pad_token_id", "partial_rotary_factor",
    "predict_special_tokens", "prefix", "pretraining_tp", "problem_type", "pruned_heads",
    "quantization_config", "query_pre_attn_scalar", "remove_invalid_values",
    "reorder_and_upcast_attn", "repetition_penalty", "return_dict", "return_dict_in_generate",
    "rms_norm_eps", "rope_interleave", "rope_interleaved", "rope_local_base_freq",
    "rope_parameters", "rope_scaling", "rope_theta", "rotary", "rotary_dim", "rotary_emb_base",
    "rotary_pct", "routed_scaling_factor", "router_aux_loss_coef", "router_jitter_noise",
    "scale_attention_softmax_in_fp32", "scale_attn_by_inverse_layer_idx", "scale_attn_weights",
    "scoring_func", "sep_token_id", "seq_aux", "skip_bias_add", "skip_bias_add_qkv",
    "sliding_window_size", "slow_but_exact", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj", "suppress_tokens",
    "swiglu_limit", "task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder",
    "tokenizer_class", "top_k", "top_p", "topk_method", "torch_dtype", "torchscript",
    "transformers_version", "typical_p", "unk_index", "use_bfloat16", "use_cache", "use_mrope",
    "use_return_dict", "verbose", "video_token_id", "vision_config", "vision_end_token_id",
    "vision_start_token_id",
    // Repeats of what other keys say.
    "index_topk_freq", "index_skip_topk_offset", "index_share_for_mtp_iteration", "qk_head_dim",
    // Hybrids: scales, clamps and initial values.
    "attention_in_multiplier", "attention_out_multiplier", "embedding_multiplier",
    "full_attn_layers", "key_multiplier", "layernorm_full_attention_alpha",
    "layernorm_full_attention_beta", "layernorm_linear_attention_alpha",
    "layernorm_linear_attention_beta", "layernorm_mlp_alpha", "layernorm_mlp_beta",
    "linear_attn_alpha_factor", "linear_attn_beta_factor", "lm_head_multiplier", "logits_scaling",
    "logits_soft_cap", "mamba_hidden_act", "mamba_norm_before_gate", "mamba_use_mlp",
    "mixer_rms_eps", "mla_use_nope", "mlp_expansion_factor", "mlp_multipliers",
    "moe_renormalize", "moe_router_activation_func", "mtp_layers_block_type", "num_expert_group",
    "num_logits_to_keep", "postnorm", "projectors_bias", "rescale_prenorm_residual",
    "residual_in_fp32", "swa_rope_theta", "residual_multiplier", "attention_multiplier", "rms_norm",
    "shared_moe_mode", "ssm_in_multiplier", "ssm_multipliers", "ssm_out_multiplier",
    "time_step_floor", "time_step_init_scheme", "time_step_limit", "time_step_max",
    "time_step_min", "time_step_scale", "use_associative_scan", "use_mamba_kernels", "use_mambapy",
    "use_grouped_topk", "w_init_variance_scale", "final_w_init_variance_scale",
  ]

  /// Keys of models that are not modelled, each with what they stand for.
  static let notModelled: [(key: String, reason: String)] = [
    ("sparse_attention_config", "attention to blocks picked by heads of its own is not modelled"),
    ("compress_ratios", "attention over compressed keys is not modelled"),
    ("global_head_dim", "layers with different head dimensions are not modelled"),
    ("share_expert_dim", "Step's head-wise attention gates are not modelled"),
    ("encoder_layers", "encoders are not modelled"),
    ("decoder_layers", "encoder-decoder models are not modelled"),
    ("attn_res_block_size", "attention over the outputs of earlier layers is not modelled"),
  ]

  /// Values of `model_type` that are not modelled, each with what sets the model apart.
  static let notModelledTypes: [(modelType: String, reason: String)] = [
    ("rwkv", "RWKV's time mixing is not modelled"),
    ("rwkv5", "RWKV's time mixing is not modelled"),
    ("rwkv6", "RWKV's time mixing is not modelled"),
    ("rwkv7", "RWKV's time mixing is not modelled"),
    ("zamba", "a block of weights that several layers share is not modelled"),
    ("zamba2", "a block of weights that several layers share is not modelled"),
    ("hymba", "layers that share keys and values, and meta tokens, are not modelled"),
    ("lfm2", "layers of gated convolutions alone are not modelled"),
    ("t5", "encoder-decoder models are not modelled"),
    ("mt5", "encoder-decoder models are not modelled"),
    ("bart", "encoder-decoder models are not modelled"),
    ("bert", "encoders are not modelled"),
  ]
}
