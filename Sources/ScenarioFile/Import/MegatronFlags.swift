/// The flags of a Megatron-LM command, found in a shell script, a list of flags or a YAML file.
struct MegatronFlags {
  /// Flags without their dashes, `_` for `-`, each with its values; the last one given counts.
  private(set) var values: [String: [String]] = [:]
  /// Shell variables by name.
  private(set) var variables: [String: String] = [:]
  /// Flags that were asked for.
  private var read: Set<String> = []

  /// Finds the flags in `text`.
  init(_ text: String) {
    var words: [String] = []
    for line in text.split(whereSeparator: \.isNewline) {
      for word in Self.words(of: line) {
        guard let opening = Self.flagList(word) else {
          words.append(word)
          continue
        }
        // `ARGS="--a 1 --b 2` on one line: the words inside count.
        words += ["(", opening].flatMap { $0.split(separator: " ").map(String.init) }
      }
    }
    var flag: String?
    for word in words {
      if let (name, value) = Self.assignment(word) {
        variables[name] = expanded(value)
        flag = nil
        continue
      }
      let text = expanded(word)
      if text.hasPrefix("--") {
        var name = String(text.dropFirst(2)).replacing("-", with: "_")
        var value: String?
        // `--a=1`, and `--a: 1` of a YAML file.
        if let equals = name.firstIndex(of: "=") {
          value = String(text.dropFirst(2).drop { $0 != "=" }.dropFirst())
          name = String(name[..<equals])
        }
        if name.hasSuffix(":") { name.removeLast() }
        flag = name
        values[name] = value.map { [$0] } ?? []
      } else if text == "(" {
        flag = nil
      } else if let flag, text != ")", text != "\\" {
        let cleaned = text.hasSuffix(")") && !text.contains("(") ? String(text.dropLast()) : text
        if !cleaned.isEmpty { values[flag, default: []].append(cleaned) }
      }
    }
  }

  /// Words of a line, without comments; quotes are taken off and keep what they hold together.
  private static func words(of line: Substring) -> [String] {
    var words: [String] = []
    var word = ""
    var quote: Character?
    var isOpen = false
    var depth = 0
    for character in line {
      if let open = quote {
        if character == open { quote = nil } else { word.append(character) }
      } else if character == "\"" || character == "'" {
        quote = character
        isOpen = true
      } else if character == "#", word.isEmpty {
        break
      } else if (character == " " || character == "\t") && depth == 0 {
        if !word.isEmpty || isOpen { words.append(word) }
        word = ""
        isOpen = false
      } else {
        // `$((A * B))` stays one word.
        if character == "(", word.contains("$") { depth += 1 }
        if character == ")", depth > 0 { depth -= 1 }
        word.append(character)
      }
    }
    if !word.isEmpty || isOpen { words.append(word) }
    if words.last == "\\" { words.removeLast() }
    return words
  }

  /// What follows `NAME=(` or stands in `NAME="--…"`; `nil` for a word that opens no list of flags.
  private static func flagList(_ word: String) -> String? {
    guard let equals = word.firstIndex(of: "="), !word.hasPrefix("-") else { return nil }
    let value = word[word.index(after: equals)...]
    if value.hasPrefix("(") { return String(value.dropFirst()) }
    return value.hasPrefix("--") || value.contains(" --") ? String(value) : nil
  }

  /// `NAME=value`, not a flag and not the opening of an array.
  private static func assignment(_ word: String) -> (name: String, value: String)? {
    guard let equals = word.firstIndex(of: "="), !word.hasPrefix("-") else { return nil }
    let name = word[..<equals]
    guard let first = name.first, first.isLetter || first == "_",
      name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" || $0 == "+" })
    else { return nil }
    let value = String(word[word.index(after: equals)...])
    return (String(name), value)
  }

  /// A word with its variables and arithmetic replaced; what is not known stays.
  private func expanded(_ word: String) -> String {
    guard word.contains("$") else { return word }
    if word.hasPrefix("$(("), word.hasSuffix("))") {
      let inner = String(word.dropFirst(3).dropLast(2))
      return Self.product(of: inner, variables: variables).map { "\($0)" } ?? word
    }
    var result = ""
    var rest = word[...]
    while let dollar = rest.firstIndex(of: "$") {
      result += rest[..<dollar]
      rest = rest[rest.index(after: dollar)...]
      if rest.first == "{", let close = rest.firstIndex(of: "}") {
        let inner = rest[rest.index(after: rest.startIndex)..<close]
        let parts = inner.split(separator: ":-", maxSplits: 1, omittingEmptySubsequences: false)
        result += variables[String(parts[0])] ?? parts.dropFirst().first.map(String.init) ?? ""
        rest = rest[rest.index(after: close)...]
      } else {
        let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        result += variables[String(name)] ?? ""
        rest = rest.dropFirst(name.count)
      }
    }
    return result + rest
  }

  /// Products and quotients of numbers and variables, left to right.
  private static func product(of text: String, variables: [String: String]) -> Int? {
    var result: Int?
    var operation: Character = "*"
    var name = ""
    func apply() -> Bool {
      let word = name.filter { !"${} \t".contains($0) }
      guard let value = Int(word) ?? variables[word].flatMap({ Int($0) }) else { return false }
      guard let sofar = result else {
        result = value
        return true
      }
      if operation == "/", value == 0 { return false }
      let (product, overflow) = sofar.multipliedReportingOverflow(by: value)
      if operation == "*", overflow { return false }
      result = operation == "*" ? product : sofar / value
      return true
    }
    for character in text {
      if character == "*" || character == "/" {
        guard apply() else { return nil }
        operation = character
        name = ""
      } else {
        name.append(character)
      }
    }
    return apply() ? result : nil
  }
}

extension MegatronFlags {
  /// Whether a flag is given.
  mutating func has(_ name: String) -> Bool {
    read.insert(name)
    // The YAML form says `true` and `false`.
    return values[name].map { $0.first?.lowercased() != "false" } ?? false
  }

  /// The value of a flag.
  mutating func text(_ name: String) -> String? {
    read.insert(name)
    return values[name]?.first
  }

  /// The value of a flag as a whole number.
  mutating func integer(_ names: String...) -> Int? {
    for name in names {
      if let number = text(name).flatMap({ Int($0.filter { $0 != "," && $0 != "_" }) }) {
        return number
      }
    }
    return nil
  }

  /// The value of a flag as a number.
  mutating func number(_ name: String) -> Double? { text(name).flatMap { Double($0) } }

  /// Flags nobody asked for that may bear on speed or memory, in alphabetical order.
  var unread: [String] {
    values.keys.filter { name in
      !read.contains(name) && !Self.idle.contains(name)
        && !Self.idleBeginnings.contains { name.hasPrefix($0) }
    }.sorted().map { "--" + $0.replacing("_", with: "-") }
  }

  /// Flags that change what is learned, kept or told, not how long a step takes or what it holds.
  ///
  /// `megatron/training/arguments.py` at d98e8a6.
  private static let idle: Set<String> = [
    "lr", "min_lr", "weight_decay", "start_weight_decay", "end_weight_decay", "clip_grad", "seed",
    "save", "load", "save_interval", "ckpt_format", "no_load_optim", "no_load_rng", "no_save_optim",
    "no_save_rng", "finetune", "exit_interval", "exit_duration_in_mins", "split", "dataloader_type",
    "num_workers", "vocab_file", "merge_file", "init_method_std", "norm_epsilon", "rotary_base",
    "rotary_percent", "use_mcore_models", "distributed_backend", "distributed_timeout_minutes",
    "timing_log_level", "timing_log_option", "mock_data",
  ]

  private static let idleBeginnings = [
    "lr_", "adam_", "log_", "tensorboard_", "wandb_", "tokenizer_", "data_", "train_data",
    "valid_data", "test_data", "eval_", "moe_aux_loss", "moe_z_loss", "override_opt",
  ]
}
