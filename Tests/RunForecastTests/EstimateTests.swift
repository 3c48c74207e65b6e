import Hardware
import Kernels
import Layout
import Quantities
import RunForecast
import Testing

/// The seed arithmetic, every expected value derived by hand.
@Suite struct EstimateTests {
  private func gpu(_ name: String) throws -> GPU { try #require(GPU.named(name)) }

  @Test("C = 6PD, and 8PD when everything is recomputed") func compute() throws {
    var input = EstimateInput(
      parameters: 175e9, tokens: 300e9, gpuCount: 1_024, gpu: try gpu("a100-sxm-80gb"))
    let plain = Estimate(input)
    // 2 · 175e9 · 300e9 = 1.05e23; twice that backward; 3.15e23 / 8.64e19 = 3645.83 PFLOP-days.
    #expect(plain.forward == Flops(1.05e23))
    #expect(plain.backward == Flops(2.1e23))
    #expect(abs(plain.compute.petaflopDays - 3_645.833) < 0.001)
    input.recomputesAll = true
    #expect(Estimate(input).compute == Flops(4.2e23))
  }

  @Test(
    "time agrees with Megatron-LM's own estimates (arXiv:2104.04473, section 5.1)",
    arguments: [
      // 8 · 300e9 · 175e9 / (1024 · 140e12) = 2,929,688 s = 33.9 days; the paper says 34.
      (175e9, 300e9, 1_024, 140.0, 33.908),
      // 8 · 450e9 · 1008e9 / (3072 · 163e12) = 7,246,933 s = 83.9 days; the paper says 84.
      (1_008e9, 450e9, 3_072, 163.0, 83.877),
    ])
  func megatron(parameters: Double, tokens: Double, gpus: Int, speed: Double, days: Double) throws {
    let estimate = Estimate(
      EstimateInput(
        parameters: parameters, tokens: tokens, gpuCount: gpus, gpu: try gpu("a100-sxm-80gb"),
        speed: .achieved(.teraflops(speed)), recomputesAll: true))
    #expect(abs(estimate.time.days - days) < 0.001)
    #expect(abs(estimate.gpuHours - Double(gpus) * days * 24) < Double(gpus))
  }

  @Test("the same speed as MFU or HFU differs by what is recomputed") func utilization() throws {
    var input = EstimateInput(
      parameters: 1e9, tokens: 1e12, gpuCount: 8, gpu: try gpu("a100-sxm-80gb"),
      speed: .hardwareUtilization(0.4), recomputesAll: true)
    // 0.4 of the operations are 8PD of which 6PD are the model's: 0.4 · 6/8 = 0.3.
    #expect(abs(Estimate(input).modelUtilization - 0.3) < 1e-12)
    input.speed = .modelUtilization(0.3)
    // 0.3 · 312 TFLOP/s · 8/6 = 124.8 TFLOP/s.
    #expect(abs(Estimate(input).achieved.flopsPerSecond - 124.8e12) < 1e6)
  }

  @Test("without D it is 20 per parameter, and few tokens are warned about") func tokens() throws {
    let h100 = try gpu("h100-sxm-80gb")
    let optimal = Estimate(EstimateInput(parameters: 70e9, gpuCount: 1, gpu: h100))
    #expect(optimal.tokens == 1.4e12)
    #expect(optimal.hasDefaultTokens)
    #expect(optimal.warnings == [])
    let few = Estimate(EstimateInput(parameters: 1e9, gpuCount: 1, gpu: h100))
    #expect(
      few.warnings == [
        "20 billion tokens is under 200 billion: too few for a model of general use."
      ])
    let large = Estimate(EstimateInput(parameters: 1e12, tokens: 1e12, gpuCount: 1, gpu: h100))
    #expect(large.warnings.count == 1)
    #expect(large.warnings.first?.hasPrefix("1 tokens a parameter is under the 20") == true)
  }

  @Test(
    "bytes a parameter, by format and optimizer",
    arguments: [
      (Precision.bf16Mixed, Optimizer.adamw, NumberFormat?.none, 2.0, 2.0, 12.0),
      (.bf16Mixed, .adamw, .fp32, 2, 4, 12),
      (.bf16Mixed, .adamw8bit, nil, 2, 2, 6),
      (.bf16Mixed, .sgdMomentum, nil, 2, 2, 8),
      (.bf16Mixed, .lion, nil, 2, 2, 8),
      (.fp16Mixed, .adamw, nil, 2, 2, 12),
      (.fp32, .adamw, nil, 4, 4, 8),
    ])
  func bytes(
    precision: Precision, optimizer: Optimizer, gradients: NumberFormat?, parameter: Double,
    gradient: Double, states: Double
  ) {
    let bytes = ParameterBytes(
      precision: precision, optimizer: optimizer, gradientFormat: gradients)
    #expect(bytes.parameter == parameter)
    #expect(bytes.gradient == gradient)
    #expect(bytes.optimizer == states)
    #expect(bytes.total == parameter + gradient + states)
  }

  @Test("activations of the 22B model of arXiv:2205.05198, table 2") func activations() {
    // s = 2048, b = 4, h = 6144, L = 48, a = 64: sbhL = 2,415,919,104; 5as/h = 106.67.
    var shape = ActivationShape(
      sequenceLength: 2_048, microBatch: 4, hiddenSize: 6_144, layers: 48, heads: 64, tensor: 8)
    // sbhL · (10 + 24/8 + 106.67/8) = sbhL · 26.333.
    #expect(abs(shape.bytes - 63_619_203_072) < 1)
    shape.splitsSequence = true
    // sbhL · (34 + 106.67) / 8 = sbhL · 17.583.
    #expect(abs(shape.bytes - 42_479_910_912) < 1)
    shape.kept = .withoutAttention
    // sbhL · 34 / 8.
    #expect(abs(shape.bytes - 10_267_656_192) < 1)
    shape.splitsSequence = false
    shape.kept = .inputs
    #expect(shape.bytes == 2 * 2_415_919_104)
  }

  @Test("size from the inference budget, then data from the compute budget") func budget() {
    // 96 GB / (1.2 · 2 bytes) = 40e9 parameters; 14e9 FLOP a token / 2 = 7e9.
    #expect(abs(InferenceBudget.parameters(in: .gigabytes(96), format: .bf16) - 40e9) < 1)
    #expect(InferenceBudget.parameters(flopsPerToken: Flops(14e9)) == 7e9)
    // 1.2e22 / 120 = 1e20 = (1e10)²: 10e9 parameters, 200e9 tokens.
    let best = InferenceBudget.optimal(for: Flops(1.2e22))
    #expect(abs(best.parameters - 1e10) < 1)
    #expect(abs(best.tokens - 2e11) < 100)
    // 1.2e22 / (6 · 7e9) = 2.857e11.
    let tokens = InferenceBudget.tokens(for: Flops(1.2e22), parameters: 7e9)
    #expect(abs(tokens - 2.857_142_857e11) < 1e3)
  }
}
