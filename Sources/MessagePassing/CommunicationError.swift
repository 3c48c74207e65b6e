/// Why processes could not pass messages: the operation in flight and the library's own text.
public struct CommunicationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The operation that failed, for example `MPI_Allreduce`.
  public let operation: String

  /// What the message-passing library says about it.
  public let text: String

  /// An `operation` that failed, in the words of the library.
  public init(operation: String, text: String) {
    self.operation = operation
    self.text = text
  }

  /// The operation and the text in one sentence.
  public var description: String { "\(operation): \(text)" }
}
