import ScenarioFile
import Testing

@Suite struct JSONValueTests {
  @Test("keys keep their order, numbers their value, text its characters") func text() {
    let value: JSONValue = [
      "b": .integer(1), "a": .number(0.1), "text": .string("a\"b\\c\nd\u{1}é"), "none": .null,
      "list": [.bool(true), .number(1e300), .number(.nan)], "empty": [], "object": [:],
    ]
    #expect(
      value.compactText == #"{"b": 1, "a": 0.1, "text": "a\"b\\c\nd\u0001é", "none": null, "#
        + #""list": [true, 1e+300, null], "empty": [], "object": {}}"#)
  }
}
