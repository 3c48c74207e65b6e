// Carries the messages of a file over its links with SimGrid's fluid model and prints when each ends.
//
// Lines: `link BYTES_PER_SECOND`, numbered from 0; `flow START BYTES RATE LINK…`. Latencies are zero, no
// traffic flows back, no TCP window: what is left is max-min sharing, by an implementation of its own.
#include <cstdio>
#include <fstream>
#include <simgrid/s4u.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace sg4 = simgrid::s4u;

struct Flow {
  double start = 0, bytes = 0, rate = 0, end = -1;
  std::vector<int> links;
};

int main(int argc, char** argv) {
  sg4::Engine engine(&argc, argv);
  for (const char* setting :
       {"network/model:CM02", "network/TCP-gamma:0", "network/crosstraffic:0",
        "network/latency-factor:1", "network/bandwidth-factor:1", "network/weight-S:0"})
    sg4::Engine::set_config(setting);

  std::ifstream file(argv[1]);
  std::vector<double> capacities;
  std::vector<Flow> flows;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "link") {
      double capacity = 0;
      words >> capacity;
      capacities.push_back(capacity);
    } else {
      Flow flow;
      words >> flow.start >> flow.bytes >> flow.rate;
      for (int link; words >> link;) flow.links.push_back(link);
      flows.push_back(flow);
    }
  }

  auto* zone = sg4::create_full_zone("fabric");
  std::vector<sg4::Link*> links;
  for (size_t i = 0; i < capacities.size(); i++)
    links.push_back(
        zone->create_link("l" + std::to_string(i), capacities[i])->set_latency(0)->seal());
  std::vector<std::pair<sg4::Host*, sg4::Host*>> ends;
  for (size_t i = 0; i < flows.size(); i++) {
    auto* source = zone->create_host("a" + std::to_string(i), 1e9)->seal();
    auto* target = zone->create_host("b" + std::to_string(i), 1e9)->seal();
    std::vector<sg4::LinkInRoute> route;
    for (int link : flows[i].links) route.emplace_back(links[link]);
    zone->add_route(source->get_netpoint(), target->get_netpoint(), nullptr, nullptr, route, false);
    ends.emplace_back(source, target);
  }
  zone->seal();
  for (size_t i = 0; i < flows.size(); i++)
    sg4::Actor::create("f" + std::to_string(i), ends[i].first, [&flows, &ends, i] {
      if (flows[i].start > 0) sg4::this_actor::sleep_until(flows[i].start);
      auto message = sg4::Comm::sendto_init();
      message->set_payload_size(static_cast<uint64_t>(flows[i].bytes))->set_rate(flows[i].rate);
      message->set_source(ends[i].first)->set_destination(ends[i].second);
      message->wait();
      flows[i].end = sg4::Engine::get_clock();
    });
  engine.run();
  for (const auto& flow : flows) std::printf("%.15g\n", flow.end);
}
