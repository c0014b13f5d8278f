"""Tables that time every call (core/iface/timed_tables.*): one function for each call of each table but the entry's own."""


class Timed:
    def __init__(self, faces, banner):
        self.faces, self.banner = [face for face in faces if face.name != "plugin"], banner

    def header(self):
        out = [f"// {self.banner}", "// Timed tables: each call is a span of the profile, whose row is that of the call.",
               "#pragma once", "", "#include <cstddef>", "#include <memory>", "#include <span>", "#include <vector>", "",
               '#include "core/base/profile.h"', ""]
        out += [f'#include "tenon/abi/{face.name}.h"' for face in self.faces]
        out += ["", "namespace tenon::iface {", "", "struct TimedTable {", "  Profile* profile = nullptr;",
                "  const void* table = nullptr;", "  void* target = nullptr;  // the instance, or the ctx of a service",
                "  std::vector<Profile::Row> rows;  // by call", "  std::unique_ptr<std::byte[]> lent;  // of a service", "};", ""]
        for face in self.faces:
            out.append(f"const {face.table}& timed_table(const {face.table}&);  // {'ctx is to be' if face.host_side else 'self is'} a TimedTable*")
            out.append(f"std::span<const char* const> names_of(const {face.table}&);")
        return "\n".join(out + ["", "}  // namespace tenon::iface", ""])

    def function(self, face, index, call):
        returns, params = face.slot_signature(call)
        holder = "ctx" if face.host_side else "self"
        args = ["timed.target" if face.host_side else "static_cast<tenon_instance*>(timed.target)"]
        args += [arg[1] for arg in call["args"]] + (["call"] if call["returns"] == "status" else [])
        # A service without a status returns at once, and timing it would cost more than it does: it is its caller's.
        span = [] if face.host_side and call["returns"] != "status" else [
            f"  const ProfileSpan span(timed.profile, timed.rows[{index}]);"]
        return [f"{returns} {face.name}_{call['name']}({params}) noexcept {{",
                f"  const auto& timed = *{'static_cast' if face.host_side else 'reinterpret_cast'}<TimedTable*>({holder});",
                *span,
                f"  {'' if returns == 'void' else 'return '}static_cast<const {face.table}*>(timed.table)->{call['name']}({', '.join(args)});",
                "}", ""]

    def source(self):
        out = [f"// {self.banner}", '#include "core/iface/timed_tables.h"', "", "namespace tenon::iface {", ""]
        for face in self.faces:
            out.append("namespace {")
            for index, call in enumerate(face.calls):
                out += self.function(face, index, call)
            names = ", ".join(f'"{face.name}.{call["name"]}"' for call in face.calls)
            slots = ", ".join(f"&{face.name}_{call['name']}" for call in face.calls)
            ctx = "nullptr, " if face.host_side else ""
            out += [f"constexpr const char* k{face.name.capitalize()}Names[] = {{{names}}};", "}  // namespace",
                    f"const {face.table}& timed_table(const {face.table}&) {{",
                    f"  static constexpr {face.table} kTable = {{{{sizeof({face.table}), 0, nullptr}}, {ctx}{slots}}};",
                    "  return kTable;", "}",
                    f"std::span<const char* const> names_of(const {face.table}&) {{ return k{face.name.capitalize()}Names; }}", ""]
        return "\n".join(out + ["}  // namespace tenon::iface", ""])
