/// How a collective moves its bytes.
public enum CollectiveAlgorithm: String, Hashable, Sendable, CaseIterable {
  /// Each rank talks to its two neighbours.
  ///
  /// Bandwidth-optimal, latency grows with the ranks. Broadcast and reduce run it as a pipelined chain.
  case ring
  /// Two complementary binary trees over the nodes, a chain inside each node, half of the buffer on each.
  ///
  /// Sanders, Speck, Träff 2009; NCCL's tree.
  case doubleBinaryTree = "tree"
  /// Partners at distance 1, 2, 4, …; logarithmic steps; a power of two of ranks.
  case halvingDoubling = "halving-doubling"
  /// Every rank sends to every other.
  case direct
  /// Reduce-scatter inside the node, all-reduce across nodes rail by rail, all-gather inside.
  case hierarchical
  /// Additions done by switches: by the scale-up switch (NVLS); across nodes by the network's too
  /// (SHARP), NCCL's NVLS on several nodes.
  case inNetwork = "in-network"
  /// Additions done by the scale-up switch inside nodes and by two binary trees between them.
  ///
  /// Each GPU's share goes through its own card (NCCL's NVLSTree).
  case nvlsTree = "nvls-tree"
  /// Additions done by the network's switches between nodes (SHARP).
  ///
  /// Inside, every GPU gathers its share from the others at once (NCCL's CollNetDirect).
  case collNetDirect = "collnet-direct"
  /// The same with a chain inside the nodes, where no scale-up switch joins all GPUs (NCCL's CollNetChain).
  case collNetChain = "collnet-chain"

  /// Whether every rank of a node sends to other nodes through its own card.
  ///
  /// Otherwise one message stands for what all of the group's cards in the node carry.
  public var sendsFromEachRank: Bool {
    switch self {
    case .ring, .doubleBinaryTree: false
    default: true
    }
  }

  /// Whether the network's switches add what nodes send.
  public func addsInNetwork(nodes: Int) -> Bool {
    switch self {
    case .inNetwork: nodes > 1
    case .collNetDirect, .collNetChain: true
    default: false
    }
  }
}

/// NCCL's three ways to hand over a chunk.
public enum TransferProtocol: String, Hashable, Sendable, CaseIterable {
  /// Flag in every 8 bytes: least latency, half of the bandwidth.
  case lowLatency = "LL"
  /// Flag in every 128 bytes.
  case lowLatency128 = "LL128"
  /// Chunks with a fence: most bandwidth, most latency.
  case simple = "Simple"

  /// Payload a channel hands on at once along a chain or tree.
  ///
  /// An eighth (`NCCL_STEPS`) of its buffer: of LL's 512 KiB (`NCCL_LL_LINES_PER_THREAD` × 512 threads
  /// × 16 B × 8) half is payload; of Simple's 4 MiB (`DEFAULT_BUFFSIZE`) all; LL128's is cut down to
  /// 128 KiB in a tree (NCCL `src/include/device.h`, `src/enqueue.cc`).
  var slice: Int64 {
    switch self {
    case .lowLatency: 32_768
    case .lowLatency128: 131_072
    case .simple: 524_288
    }
  }
}
