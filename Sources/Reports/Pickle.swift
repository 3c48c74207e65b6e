/// A value Python's `pickle` can hold.
enum PickleValue {
  case none
  case flag(Bool)
  case integer(Int64)
  case text(String)
  case list([PickleValue])
  case dictionary([(key: String, value: PickleValue)])
}

/// Writes Python pickles, protocol 2 (PEP 307), without memoised values.
///
/// Opcodes are those of CPython's `pickletools`; only ones the unpickler of PyTorch's `memory_viz`
/// page knows are used.
enum Pickle {
  /// Items a list grows by at once, as CPython's pickler has it.
  ///
  /// The page's unpickler passes them as arguments of one call, of which a browser takes some ten thousands.
  private static let batch = 1_000

  /// The pickle of `value`.
  static func bytes(_ value: PickleValue) -> [UInt8] {
    var output: [UInt8] = [0x80, 2]
    append(value, to: &output)
    output.append(UInt8(ascii: "."))
    return output
  }

  private static func append(_ value: PickleValue, to output: inout [UInt8]) {
    switch value {
    case .none: output.append(UInt8(ascii: "N"))
    case .flag(let isTrue): output.append(isTrue ? 0x88 : 0x89)
    case .integer(let number): append(number, to: &output)
    case .text(let text):
      output.append(UInt8(ascii: "X"))
      appendLittleEndian(UInt64(text.utf8.count), count: 4, to: &output)
      output += text.utf8
    case .list(let values):
      output.append(UInt8(ascii: "]"))
      for start in stride(from: 0, to: values.count, by: batch) {
        output.append(UInt8(ascii: "("))
        for value in values[start..<min(start + batch, values.count)] { append(value, to: &output) }
        output.append(UInt8(ascii: "e"))
      }
    case .dictionary(let members):
      output += [UInt8(ascii: "}"), UInt8(ascii: "(")]
      for member in members {
        append(.text(member.key), to: &output)
        append(member.value, to: &output)
      }
      output.append(UInt8(ascii: "u"))
    }
  }

  /// Four bytes where they do, else a long integer of as many bytes as it takes, two's complement.
  private static func append(_ number: Int64, to output: inout [UInt8]) {
    if let short = Int32(exactly: number) {
      output.append(UInt8(ascii: "J"))
      appendLittleEndian(UInt64(UInt32(bitPattern: short)), count: 4, to: &output)
    } else {
      output += [0x8A, 8]
      appendLittleEndian(UInt64(bitPattern: number), count: 8, to: &output)
    }
  }

  private static func appendLittleEndian(_ value: UInt64, count: Int, to output: inout [UInt8]) {
    for byte in 0..<count { output.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
  }
}
