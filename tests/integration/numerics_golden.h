// tests/fixtures/numerics: texts, and what an independent implementation makes of them. golden.py
// writes the golden file and defines its form.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace tenon {

struct GoldenPosition {
  std::size_t text = 0;      // index into Golden::texts
  std::size_t position = 0;  // the distribution is that of this token, given those before it
  float next = 0;            // log-probability of the token that is there
  float rest = 0;            // log-probability of "none of `top`"
  std::vector<std::pair<std::int32_t, float>> top;
};

struct Golden {
  std::vector<std::vector<std::int32_t>> texts;
  std::vector<GoldenPosition> positions;
  std::vector<std::int32_t> greedy_prompt, greedy_answer;
};

inline std::vector<std::int32_t> read_ids(const std::string& word) {
  std::vector<std::int32_t> out;
  std::istringstream in(word);
  for (std::string id; std::getline(in, id, ',');) out.push_back(std::stoi(id));
  return out;
}

// name: "smollm2", "gemma".
inline Golden read_numerics_golden(const std::string& name) {
  Golden out;
  std::ifstream file(TENON_SOURCE_DIR "/tests/fixtures/numerics/" + name + ".golden");
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string kind, ids;
    in >> kind;
    if (kind == "text") {
      in >> ids;
      out.texts.push_back(read_ids(ids));
    } else if (kind == "at") {
      GoldenPosition at;
      at.text = out.texts.size() - 1;
      in >> at.position >> at.next >> at.rest;
      std::int32_t id = 0;
      float logprob = 0;
      for (char colon = 0; in >> id >> colon >> logprob;) at.top.emplace_back(id, logprob);
      out.positions.push_back(std::move(at));
    } else if (kind == "greedy") {
      std::string answer;
      in >> ids >> answer;
      out.greedy_prompt = read_ids(ids);
      out.greedy_answer = read_ids(answer);
    }
  }
  return out;
}

// The texts of texts.txt, in its order.
inline std::vector<std::string> read_numerics_texts() {
  std::vector<std::string> out;
  std::ifstream file(TENON_SOURCE_DIR "/tests/fixtures/numerics/texts.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("=== ")) {
      out.emplace_back();
    } else {
      out.back() += line + "\n";
    }
  }
  return out;
}

}  // namespace tenon
