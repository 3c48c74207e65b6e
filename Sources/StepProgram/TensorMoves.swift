import Kernels
import Transformer

/// What a pass asks of the allocator, in order.
enum TensorMove: Hashable {
  /// A tensor of so many bytes comes to be.
  case take(slot: Int, bytes: Int64)
  /// A tensor is needed no more.
  case give(slot: Int)
  /// A collective's stream uses a tensor.
  case lend(slot: Int)
  /// A tensor that comes to be with the first such move and stays.
  case keep(bytes: Int64)
  /// Entries go into the device's queue.
  case issue(Int)
}

/// Tensors of one microbatch in a chunk of the model: what its passes take and give back.
///
/// Made from the same operations as times and kept bytes. An operation makes one output and, at most,
/// one more tensor that stays; it keeps its input where it keeps that many bytes; what it needs
/// meanwhile is one tensor. Backward it makes the gradient of its input and of its weights.
struct ChunkMoves: Hashable {
  /// Of a forward pass.
  var forward: [TensorMove] = []
  /// Of a backward pass.
  var backward: [TensorMove] = []
  /// Tensors of one microbatch.
  var slotCount = 0
  /// Elements of each weight, for what the optimizer holds of it.
  var weights: [Int64] = []

  /// Entries of the device's queue both passes take.
  var entries: Int {
    [forward, backward].joined().reduce(0) {
      if case .issue(let entries) = $1 { $0 + entries } else { $0 }
    }
  }
}

/// Writes the moves of a chunk, part after part.
struct MoveWriter {
  /// Bytes of what passes from one layer to the next.
  let flowing: Int64
  /// Degree of tensor parallelism.
  let tensor: Int64
  /// Bytes of an activation's value, and of a fresh gradient's.
  let valueBytes: Int64
  let fusion: Fusion
  /// Small kernels around a layer's attention that operations do not list.
  let attentionLaunches: Int
  /// Whether the output projection's weight is the embedding's table.
  var sharesTable = false
  /// Bytes of the multiply library's workspace that the backward pass's thread takes with its first multiply.
  ///
  /// Out of what is free then: with logits and activations there, mostly a piece of the logits' fp32 copy,
  /// which finds no room there any more (`getCUDABlasWorkspace` and its kin in PyTorch's
  /// `CublasHandlePool.cpp`: a workspace for each handle, and a handle for each thread).
  var workspace: Int64 = 0

  private(set) var moves = ChunkMoves()
  private var records: [Record] = []
  /// Whether a message brings each microbatch.
  private var isFed = false
  /// What the next operation gets.
  private var current: Tensor?

  private struct Tensor {
    var slot: Int
    var bytes: Int64
  }

  /// An operation and what it holds until its backward pass.
  private struct Record {
    var operation: Operation
    var input: Tensor?
    var kept: [Tensor]
    /// Elements of a weight whose gradient is no multiply: the token table.
    var table: Int64
    /// Whether it begins a branch that is added to its input again.
    var branches: Bool
  }

  init(flowing: Int64, shard: LayerShard, fusion: Fusion, attentionLaunches: Int = 0) {
    self.attentionLaunches = attentionLaunches
    self.flowing = flowing
    self.fusion = fusion
    tensor = Int64(shard.tensor)
    valueBytes = shard.valueBytes
  }

  // MARK: Forward

  /// A microbatch comes from the stage before.
  mutating func receive() {
    let tensor = take(flowing)
    moves.forward += [.lend(slot: tensor.slot), .issue(QueuedWork.entriesPerMessage)]
    current = tensor
    isFed = true
  }

  /// Adds the operations of a part; `table` elements of an embedding whose rows are looked up.
  mutating func add(_ operations: [Operation], table: Int64 = 0) {
    var begins = true
    for operation in operations {
      let isResidual = Self.isResidual(operation)
      add(operation, table: table, branches: begins && operation.saved > 0 && table == 0)
      begins = isResidual
    }
  }

  private static func isResidual(_ operation: Operation) -> Bool {
    operation.name.hasSuffix("residual")
  }

  private mutating func add(_ operation: Operation, table: Int64, branches: Bool) {
    let input = current
    var gathered: Tensor?
    if let gather = operation.beforeForward, isShared(gather) {
      if !fusion.keepsGatherBuffers { gathered = take(gather.bytes) }
      if let input { moves.forward.append(.lend(slot: input.slot)) }
      if let gathered { moves.forward.append(.lend(slot: gathered.slot)) }
      moves.forward.append(.issue(QueuedWork.entriesPerCollective))
    }
    let inputBytes = input?.bytes ?? 0
    // The loss keeps what it made of its input, not the input.
    let isLoss = operation.name == "cross_entropy"
    let keepsInput = !isLoss && inputBytes > 0 && operation.saved >= inputBytes
    let more = operation.saved - (keepsInput ? inputBytes : 0)
    var scratch: Tensor?
    if operation.beforeForward == nil, operation.afterForward == nil || isLoss {
      let bytes = operation.forwardScratch - (isLoss ? inputBytes : 0)
      if bytes > 0 { scratch = take(bytes) }
    }
    // Rows as looked up, before those of other ranks are masked.
    if table > 0, tensor > 1, let whole = operation.afterForward { scratch = take(whole.bytes) }
    if isLoss, let input { give(input) }
    let output = isLoss ? 0 : outputBytes(operation)
    current = output > 0 ? take(output) : nil
    let kept = pieces(of: more, operation).map { take($0) }
    moves.forward.append(
      .issue(launches(operation.forward) + (operation.isAttentionCore ? attentionLaunches : 0)))
    if let after = operation.afterForward, isShared(after), !isLoss {
      reduce(after)
    }
    for tensor in [gathered, scratch].compactMap({ $0 }) { give(tensor) }
    if !keepsInput, !isLoss, let input { give(input) }
    records.append(
      Record(
        operation: operation, input: keepsInput ? input : nil, kept: kept, table: table,
        branches: branches))
  }

  /// The output goes through a collective over tensor ranks.
  private mutating func reduce(_ exchange: Exchange) {
    guard let whole = current else { return }
    switch exchange.operation {
    case .reduceScatter:
      let part = take(exchange.bytes / tensor)
      moves.forward += [
        .lend(slot: whole.slot), .lend(slot: part.slot), .issue(QueuedWork.entriesPerCollective),
      ]
      give(whole)
      current = part
    case .allReduce:
      moves.forward += [.lend(slot: whole.slot), .issue(QueuedWork.entriesPerCollective)]
    case .allGather, .allToAll: break
    }
  }

  /// The microbatch goes to the next stage, if it is not the last.
  mutating func finish(sends: Bool) {
    if let current {
      if sends {
        moves.forward += [.lend(slot: current.slot), .issue(QueuedWork.entriesPerMessage)]
      }
      give(current)
    }
    current = nil
    writeBackward(receives: sends)
  }

  // MARK: Backward

  private mutating func writeBackward(receives: Bool) {
    var gradients: [Tensor] = []
    var gradient: Tensor?
    var waiting: [Tensor] = []
    if receives {
      let tensor = takeBackward(flowing)
      moves.backward += [.lend(slot: tensor.slot), .issue(QueuedWork.entriesPerMessage)]
      gradient = tensor
    }
    for record in records.reversed() {
      if Self.isResidual(record.operation) {
        moves.backward.append(.issue(launches(record.operation.inputGradient)))
        for kept in record.kept { giveBackward(kept) }
        if let gradient { waiting.append(gradient) }
        continue
      }
      gradient = backward(of: record, gradient, waiting: &waiting, gradients: &gradients)
    }
    moves.weights.reverse()
    if let gradient {
      if isFed {
        moves.backward += [.lend(slot: gradient.slot), .issue(QueuedWork.entriesPerMessage)]
      }
      giveBackward(gradient)
    }
    for tensor in gradients {
      moves.backward.append(.issue(1))
      giveBackward(tensor)
    }
  }

  /// One operation's backward pass; the gradient of its input.
  private mutating func backward(
    of record: Record, _ gradient: Tensor?, waiting: inout [Tensor], gradients: inout [Tensor]
  ) -> Tensor? {
    let operation = record.operation
    var temporary: [Tensor] = []
    if workspace > 0, record.table == 0, !operation.weightGradient.isEmpty {
      moves.backward.append(.keep(bytes: workspace))
      workspace = 0
    }
    if let gather = operation.beforeBackward, isShared(gather) {
      if !fusion.keepsGatherBuffers || record.table > 0 {
        temporary.append(takeBackward(gather.bytes))
        moves.backward.append(.lend(slot: temporary[0].slot))
      }
      if let gradient { moves.backward.append(.lend(slot: gradient.slot)) }
      moves.backward.append(.issue(QueuedWork.entriesPerCollective))
    }
    if let gather = operation.regather ?? operation.beforeForward, isShared(gather),
      fusion.keepsGatherBuffers, let input = record.input
    {
      moves.backward += [.lend(slot: input.slot), .issue(QueuedWork.entriesPerCollective)]
    }
    let bytes = inputGradientBytes(record)
    let scratch = operation.backwardScratch - bytes
    if scratch > 0 { temporary.append(takeBackward(scratch)) }
    var result = bytes > 0 ? takeBackward(bytes) : nil
    moves.backward.append(.issue(launches(operation.inputGradient)))
    if let after = operation.afterInputGradient, isShared(after), let whole = result {
      moves.backward.append(.lend(slot: whole.slot))
      if after.operation == .reduceScatter {
        let part = takeBackward(after.bytes / tensor)
        moves.backward.append(.lend(slot: part.slot))
        temporary.append(whole)
        result = part
      }
      moves.backward.append(.issue(QueuedWork.entriesPerCollective))
    }
    for elements in weights(record) {
      if !sharesTable || operation.name != "output_proj" { moves.weights.append(elements) }
      if !fusion.gradientAccumulation { gradients.append(takeBackward(elements * valueBytes)) }
    }
    moves.backward.append(.issue(launches(operation.weightGradient)))
    for tensor in temporary.reversed() { giveBackward(tensor) }
    if let gradient, waiting.last?.slot != gradient.slot { giveBackward(gradient) }
    for tensor in record.kept { giveBackward(tensor) }
    if let input = record.input { giveBackward(input) }
    guard record.branches, let sum = waiting.popLast() else { return result }
    // Added to the gradient that went round the branch.
    if let result { giveBackward(result) }
    return sum
  }

  // MARK: Sizes

  private func isShared(_ exchange: Exchange) -> Bool { exchange.axis == .tensor && tensor > 1 }

  private func launches(_ kernels: [Kernel]) -> Int {
    kernels.reduce(0) { sum, kernel in
      if case .stream(let pass) = kernel { sum + max(1, pass.launches) } else { sum + 1 }
    }
  }

  private static func bytes(_ attention: AttentionKernel, _ valueBytes: Int64) -> Int64 {
    Int64(attention.batch * attention.queryLength * attention.heads * attention.headDimension)
      * valueBytes
      + Int64(
        attention.batch * attention.queryLength * attention.keyValueHeads
          * (attention.headDimension + attention.valueDimension)) * valueBytes
  }

  /// Bytes of multiplies' outputs, or of the last pass's.
  private func bytesMade(by kernels: [Kernel]) -> Int64 {
    var products: Int64 = 0
    var passed: Int64 = 0
    for kernel in kernels {
      switch kernel {
      case .matmul(let matmul):
        products += Int64(matmul.m) * Int64(matmul.n) * Int64(matmul.batch)
      case .stream(let pass): passed = pass.bytesWritten / Int64(max(1, pass.launches))
      case .attention, .scan: return 0
      }
    }
    return products > 0 ? products * valueBytes : passed
  }

  /// The tensors in which an operation keeps `bytes` beside its input.
  private func pieces(of bytes: Int64, _ operation: Operation) -> [Int64] {
    var rest = bytes
    var pieces: [Int64] = []
    for case .attention(let kernel) in operation.forward {
      // Values, output, and a number for each row.
      let rows = Int64(kernel.batch * kernel.queryLength * kernel.valueDimension) * valueBytes
      for piece in [rows * Int64(kernel.keyValueHeads), rows * Int64(kernel.heads)]
      where piece < rest {
        pieces.append(piece)
        rest -= piece
      }
    }
    return rest > 0 ? pieces + [rest] : pieces
  }

  private func outputBytes(_ operation: Operation) -> Int64 {
    // What attention makes is among what it keeps.
    guard !operation.isAttentionCore else { return 0 }
    if let whole = operation.afterForward, isShared(whole), whole.operation != .allGather {
      return whole.bytes
    }
    return bytesMade(by: operation.forward)
  }

  private func inputGradientBytes(_ record: Record) -> Int64 {
    let operation = record.operation
    if let whole = operation.afterInputGradient, isShared(whole) { return whole.bytes }
    for case .attention(let kernel) in operation.inputGradient {
      return Self.bytes(kernel, valueBytes)
    }
    // Looked-up rows: the gradient of the output once more, with those of other ranks masked.
    if record.table > 0 { return tensor > 1 ? operation.beforeBackward?.bytes ?? 0 : 0 }
    // Of logits in fp32, in the format they were made in.
    if operation.name == "cross_entropy" {
      return record.kept.reduce(0) { $0 + $1.bytes } * valueBytes / 4
    }
    if operation.name.hasSuffix("norm") { return record.input?.bytes ?? 0 }
    if operation.name.hasSuffix("activation") { return operation.backwardScratch }
    if operation.isAttentionCore { return min(operation.saved, operation.backwardScratch) }
    return bytesMade(by: operation.inputGradient)
  }

  /// Elements of the weights an operation has.
  private func weights(_ record: Record) -> [Int64] {
    if record.table > 0 { return [record.table] }
    return record.operation.weightGradient.compactMap {
      guard case .matmul(let matmul) = $0 else { return nil }
      return Int64(matmul.m) * Int64(matmul.n) * Int64(matmul.batch)
    }
  }

  // MARK: Slots

  private mutating func newTensor(_ bytes: Int64) -> Tensor {
    moves.slotCount += 1
    return Tensor(slot: moves.slotCount - 1, bytes: bytes)
  }

  private mutating func take(_ bytes: Int64) -> Tensor {
    let tensor = newTensor(bytes)
    moves.forward.append(.take(slot: tensor.slot, bytes: bytes))
    return tensor
  }

  private mutating func give(_ tensor: Tensor) { moves.forward.append(.give(slot: tensor.slot)) }

  private mutating func takeBackward(_ bytes: Int64) -> Tensor {
    let tensor = newTensor(bytes)
    moves.backward.append(.take(slot: tensor.slot, bytes: bytes))
    return tensor
  }

  private mutating func giveBackward(_ tensor: Tensor) {
    moves.backward.append(.give(slot: tensor.slot))
  }
}
