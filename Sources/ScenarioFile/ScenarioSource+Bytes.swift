extension ScenarioSource {
  /// The source as bytes that ``init(bytes:)`` reads back.
  ///
  /// To hand what one process has read to all others.
  public var bytes: [UInt8] {
    var fields = [path, text]
    for file in [modelFile, clusterFile] {
      fields += [file?.path ?? "", file?.text ?? ""]
      fields.append(file == nil ? "no file" : file?.text == nil ? "unreadable" : "file")
    }
    for override in overrides {
      fields.append(override.path.joined(separator: "."))
      fields.append(override.value)
    }
    return fields.flatMap { field -> [UInt8] in
      let text = Array(field.utf8)
      let count = UInt64(text.count)
      return (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * UInt64($0))) } + text
    }
  }

  /// The source whose ``bytes`` these are; `nil` when they are not a source's.
  public init?(bytes: [UInt8]) {
    var fields: [String] = []
    var offset = 0
    while offset < bytes.count {
      guard offset + 8 <= bytes.count else { return nil }
      let size = (0..<8).reduce(UInt64(0)) {
        $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1))
      }
      offset += 8
      guard size <= UInt64(bytes.count - offset) else { return nil }
      let end = offset + Int(size)
      fields.append(String(decoding: bytes[offset..<end], as: UTF8.self))
      offset = end
    }
    guard fields.count >= 8, fields.count.isMultiple(of: 2) else { return nil }
    func file(_ first: Int) -> NamedFile? {
      let state = fields[first + 2]
      guard state != "no file" else { return nil }
      return NamedFile(path: fields[first], text: state == "file" ? fields[first + 1] : nil)
    }
    self.init(path: fields[0], text: fields[1], modelFile: file(2), clusterFile: file(5))
    for index in stride(from: 8, to: fields.count, by: 2) {
      overrides.append(ScenarioOverride(key: fields[index], value: fields[index + 1]))
    }
  }
}
