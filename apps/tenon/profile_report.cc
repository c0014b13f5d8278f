#include "apps/tenon/profile_report.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

std::vector<ProfileRow> sorted_rows(const Profile& profile) {
  std::vector<ProfileRow> rows = profile.rows();
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ProfileRow& a, const ProfileRow& b) { return a.ns > b.ns; });
  return rows;
}

std::int64_t sum_ns(const std::vector<ProfileRow>& rows) {
  std::int64_t sum = 0;
  for (const ProfileRow& row : rows) sum += row.ns;
  return sum;
}

double share_of(std::int64_t ns, const Profile& profile) {
  return profile.wall_ns() > 0 ? static_cast<double>(ns) / static_cast<double>(profile.wall_ns())
                               : 0;
}

double rate_of(const ProfileRow& row) {  // GB/s
  return row.ns > 0 ? row.bytes / static_cast<double>(row.ns) : 0;
}

double ms(std::int64_t ns) { return static_cast<double>(ns) * 1e-6; }

template <class... Args>
std::string line(const char* format, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

// Events of one track, in the format's "complete" form; times are microseconds from `zero`.
class Track {
 public:
  Track(ordered_json& events, int id, const std::string& name, std::int64_t zero)
      : events_(events), id_(id), zero_(zero) {
    events_.push_back({{"ph", "M"},
                       {"name", "thread_name"},
                       {"pid", 1},
                       {"tid", id},
                       {"args", {{"name", name}}}});
    events_.push_back({{"ph", "M"},
                       {"name", "thread_sort_index"},
                       {"pid", 1},
                       {"tid", id},
                       {"args", {{"sort_index", id}}}});
  }
  void add(const std::string& name, const char* category, const TimeSlice& slice) {
    events_.push_back({{"ph", "X"},
                       {"name", name},
                       {"cat", category},
                       {"pid", 1},
                       {"tid", id_},
                       {"ts", static_cast<double>(slice.begin - zero_) * 1e-3},
                       {"dur", static_cast<double>(slice.end - slice.begin) * 1e-3}});
  }

 private:
  ordered_json& events_;
  int id_;
  std::int64_t zero_;
};

Error cannot_write(const std::string& path) {
  return Error{.code = Code::kPermissionDenied,
               .id = "TENON-A018",
               .message = "cannot write the profile",
               .where = path,
               .found = std::strerror(errno),
               .fix = "name a file in a folder that can be written"};
}

Status write_file(const std::string& path, const std::string& text) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return file ? Status() : Status(cannot_write(path));
}

}  // namespace

std::string profile_table(const Profile& profile) {
  const std::vector<ProfileRow> rows = sorted_rows(profile);
  std::size_t owner = 6, name = 10;
  for (const ProfileRow& row : rows) {
    owner = std::max(owner, row.owner.size());
    name = std::max(name, row.name.size());
  }
  const int o = static_cast<int>(owner), n = static_cast<int>(name);
  std::string out = line("%-*s  %-*s %9s %10s %6s %10s %7s %6s\n", o, "plugin", n, "call or op",
                         "calls", "ms", "share", "MB", "GB/s", "allocs");
  for (const ProfileRow& row : rows) {
    out += line("%-*s  %-*s %9llu %10.3f %5.1f%%", o, row.owner.c_str(), n, row.name.c_str(),
                static_cast<unsigned long long>(row.calls), ms(row.ns),
                100 * share_of(row.ns, profile));
    out += row.bytes > 0 ? line(" %10.1f %7.2f", row.bytes * 1e-6, rate_of(row))
                         : line(" %10s %7s", "", "");
    out += row.allocations > 0 ? line(" %6llu\n", static_cast<unsigned long long>(row.allocations))
                               : "\n";
  }
  const std::int64_t sum = sum_ns(rows);
  return out + line("%-*s  %-*s %9zu %10.3f %5.1f%% of %.3f ms\n", o, "all", n, "steps",
                    profile.n_steps(), ms(sum), 100 * share_of(sum, profile),
                    ms(profile.wall_ns()));
}

std::string profile_json(const Profile& profile) {
  const std::vector<ProfileRow> rows = sorted_rows(profile);
  ordered_json out = {{"wall_ms", ms(profile.wall_ns())},
                      {"sum_ms", ms(sum_ns(rows))},
                      {"steps", profile.n_steps()},
                      {"rows", ordered_json::array()}};
  for (const ProfileRow& row : rows)
    out["rows"].push_back({{"plugin", row.owner},
                           {"call", row.name},
                           {"op", row.op},
                           {"calls", row.calls},
                           {"ms", ms(row.ns)},
                           {"share", share_of(row.ns, profile)},
                           {"bytes", row.bytes},
                           {"gb_per_s", rate_of(row)},
                           {"allocations", row.allocations},
                           {"allocated_bytes", row.allocated_bytes}});
  return out.dump(2) + "\n";
}

std::string trace_json(const Profile& profile) {
  ordered_json events = ordered_json::array();
  if (profile.steps().empty()) return ordered_json{{"traceEvents", events}}.dump() + "\n";
  const std::int64_t zero = profile.steps().front().begin;
  const auto name = [&](std::uint32_t label) {
    const ProfileRow& row = profile.row(label);
    return row.owner == "core" ? row.name : row.name + " (" + row.owner + ")";
  };
  Track engine(events, 1, "engine", zero);
  std::size_t number = 0;
  for (const TimeSlice& step : profile.steps())
    engine.add("step " + std::to_string(++number), "step", step);
  for (const TimeSlice& span : profile.spans())
    engine.add(name(span.label), profile.row(span.label).op ? "op" : "call", span);
  if (const StreamTimes* stream = profile.stream()) {
    for (std::size_t i = 0; i < stream->threads().size(); ++i) {
      if (i == 0) {  // what the engine's thread does of the stream lies inside its spans
        for (const TimeSlice& part : stream->threads()[0])
          engine.add(name(part.label), "stripes", part);
        continue;
      }
      Track worker(events, static_cast<int>(i) + 1, "worker " + std::to_string(i), zero);
      for (const TimeSlice& part : stream->threads()[i])
        worker.add(name(part.label), "stripes", part);
    }
    Track track(events, static_cast<int>(stream->threads().size()) + 1, "stream", zero);
    for (const TimeSlice& command : stream->commands())
      track.add(name(command.label), "command", command);
  }
  return ordered_json{{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}}.dump() + "\n";
}

Status check_profile_files(const EngineChoice& choice) {
  for (const std::string& path : {choice.profile_json, choice.trace}) {
    errno = 0;
    if (!path.empty() && !std::ofstream(path, std::ios::binary | std::ios::app))
      return cannot_write(path);
  }
  return {};
}

Status report_profile(const LoadedEngine& engine, const EngineChoice& choice) {
  const Profile* profile = engine.profile();
  if (profile == nullptr) return {};
  if (choice.profile) std::fputs(profile_table(*profile).c_str(), stderr);
  if (!choice.profile_json.empty())
    TENON_TRY(write_file(choice.profile_json, profile_json(*profile)));
  if (!choice.trace.empty()) TENON_TRY(write_file(choice.trace, trace_json(*profile)));
  return {};
}

}  // namespace tenon::app
