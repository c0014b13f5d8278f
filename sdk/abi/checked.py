"""The checking proxy (core/iface/checked_tables.*): one function for each call of each table, made of the IDL's tags.

Tags of a call: thread, once, after = [calls]. Of an interface: lane = "arg": one call at a time per value of this argument.
Tags of an argument or a field, in a table behind its doc:
  count = "n"      how many elements a lent array has, or of an answer's array how many are set
  room = "max"     the other side fills an array of so many elements
  nullable         null is allowed
  lent = "step"    lent until the step has ended; "kept": longer than the call, so it is not copied
  enum, min, max   the values that exist
  op               a tenon_op_* record
  gives            the handle is given up
"""
SCALARS = ("u8", "i32", "u32", "i64", "u64", "f32", "f64")
TAGS = {"load": "kLoad", "control": "kControl", "step": "kStep", "stream": "kStream", "any": "kAny"}


def options(item):
    return item[3] if len(item) > 3 else {}


def base_of(kind):
    return kind.replace("const ", "").rstrip("*").strip()


class Checked:
    def __init__(self, faces, banner):
        self.faces, self.banner = faces, banner
        self.structs = {struct["name"]: struct for face in faces for struct in face.structs}
        self.fntypes = {fn["name"] for face in faces for fn in face.fntypes}
        self.enums = {enum["name"]: enum for face in faces for enum in face.enums}

    # ---- counts ----
    def expression(self, text, prefix):
        """A count as C++: a number, a sibling, or sibling->field."""
        if text.isdigit():
            return text
        value = f"static_cast<std::uint64_t>({prefix}{text})"
        return f"crossing.may_pass() ? {value} : 0" if "->" in text else value

    def lent(self, opts):
        flags = {"step": "Lent::kStep", "kept": "Lent::kKept"}.get(opts.get("lent"), "Lent::kCall")
        if opts.get("nullable"):
            return f", {flags}, true"
        return f", {flags}" if opts.get("lent") else ""

    # ---- structs ----
    def visitor(self, struct):
        body = []
        for field in struct["fields"]:
            body += self.visit_field(field, options(field))
        unused = "" if body else "[[maybe_unused]] "
        out = [f"void visit({unused}Crossing& crossing, {unused}const Path& at, {unused}tenon_{struct['name']}& s) {{"]
        return out + ["  " + line for line in body] + ["}", ""]

    def visit_field(self, field, opts):
        kind, name = field[0], field[1]
        at = f'{{&at, "{name}"}}'
        if "room" in opts:
            return []
        if "enum" in opts:
            return [f"crossing.one_of({at}, s.{name}, k{self.pascal(opts['enum'])});"]
        if kind == "str":
            return [f"crossing.text({at}, s.{name});"]
        if kind.startswith("fn ") or kind in self.fntypes:
            return [f"crossing.non_null({at}, reinterpret_cast<const void*>(s.{name}));"]
        if "*" not in kind or kind == "void*":
            return []
        if "count" in opts:
            return [f"crossing.share({at}, s.{name}, {self.expression(opts['count'], 's.')}{self.lent(opts)});"]
        return [] if opts.get("nullable") else [f"crossing.non_null({at}, s.{name});"]

    def pascal(self, name):
        return "".join(part.capitalize() for part in name.split("_"))

    # ---- calls ----
    def function(self, face, index, call):
        returns, params = face.slot_signature(call)
        plugin = face.name == "plugin"
        holder = "ctx" if face.host_side else "self"
        mask = 0
        for before in call.get("after", []):
            mask |= 1 << [c["name"] for c in face.calls].index(before)
        lane = "0"
        if face.lane and any(arg[1] == face.lane for arg in call["args"]):
            lane = face.lane
        status = call["returns"] == "status"
        if plugin:
            params = "CheckedTable& table, " + params
        out = [f"{returns} {face.name}_{call['name']}({params}) noexcept {{"]
        out.append(f"  static constexpr CallRule kRule{{\"{face.name}.{call['name']}\", Tag::{TAGS[call['thread']]}, "
                   f"{'true' if face.host_side else 'false'}, {1 << index}u, {mask}u, {'true' if call.get('once') else 'false'}}};")
        if not plugin:
            out.append(f"  auto& table = *{'static_cast' if face.host_side else 'reinterpret_cast'}<CheckedTable*>({holder});")
        out.append(f"  Crossing crossing(table, kRule, {lane}, {'call' if status else 'nullptr'});")
        checks, given, answers = self.arguments(call)
        out += ["  " + line for line in checks]
        out.append(f"  if (!crossing.may_pass()) return{' crossing.result()' if status else '' if returns == 'void' else ' {}'};")
        target = [] if plugin else ["table.target"] if face.host_side else ["static_cast<tenon_instance*>(table.target)"]
        made = f"static_cast<const {face.table}*>(table.table)->{call['name']}({', '.join(target + given + (['crossing.call()'] if status else []))})"
        if status:
            if answers:
                out += [f"  if (crossing.returned({made})) {{"] + ["    " + line for line in answers] + ["  }"]
            else:
                out.append(f"  crossing.returned({made});")
            out += ["  return crossing.result();", "}", ""]
        elif returns == "void":
            out += [f"  {made};", "  crossing.returned();", "}", ""]
        else:
            out += [f"  const {returns.removeprefix('const ') if '*' not in returns else 'auto'} answer = {made};"]
            if answers:
                out += ["  if (crossing.returned() && answer != 0) {"] + ["    " + line for line in answers] + ["  }"]
            else:
                out.append("  crossing.returned();")
            out += ["  return answer;", "}", ""]
        return out

    def arguments(self, call):
        """Lines before the call, the arguments of the real call, lines after it."""
        checks, given, counts, answers = [], [], [], []
        lent = {arg[1] for arg in call["args"] if arg[0].startswith("const ") and base_of(arg[0]) in self.structs}
        for arg in call["args"]:
            kind, name, opts = arg[0], arg[1], options(arg)
            is_count = any(options(other).get("count") == name and "room" in options(other) for other in call["args"])
            before, value, after = self.argument(call, kind, name, opts, lent)
            checks += before
            given.append(value)
            (counts if is_count else answers).extend(after)
        return checks, given, counts + answers

    def argument(self, call, kind, name, opts, lent):
        at = f'Path{{nullptr, "{name}"}}'
        base, mine = base_of(kind), f"{name}_"
        if kind in SCALARS:
            if "enum" in opts:
                return [f"crossing.one_of({at}, {name}, k{self.pascal(opts['enum'])});"], name, []
            if "max" in opts:
                return [f"crossing.in_range({at}, {name}, {opts.get('min', 0)}, {opts['max']});"], name, []
            return [], name, []
        if kind == "str":
            return [f"crossing.text({at}, {name});"], name, []
        if kind in self.fntypes:
            return [f"crossing.non_null({at}, reinterpret_cast<const void*>({name}));"], name, []
        if kind == "tensor*":
            return [f"crossing.{'gives_up' if opts.get('gives') else 'tensor'}(\"{name}\", {name});"], name, []
        if kind == "tensor* const*":
            return [f"crossing.tensors(\"{name}\", {name}, {self.expression(opts['count'], '')});"], name, []
        if opts.get("op"):
            return [f"const tenon_hdr* {mine} = crossing.lend_op(\"{name}\", {name});"], mine, []
        if kind.startswith("const "):
            return self.lent_argument(kind, name, opts, at)
        if kind in ("void*", "instance*"):
            return ([] if opts.get("nullable") else [f"crossing.non_null({at}, {name});"]), name, []
        return self.answer_argument(call, kind, name, opts, lent)

    def lent_argument(self, kind, name, opts, at):
        base = base_of(kind)
        if base not in self.structs and "count" not in opts:
            return ([] if opts.get("nullable") else [f"crossing.non_null({at}, {name});"]), name, []
        count = self.expression(opts.get("count", "1"), "")
        return [f"auto* {name}_ = crossing.lend(\"{name}\", {name}, {count}{self.lent(opts)});"], f"{name}_", []

    def answer_argument(self, call, kind, name, opts, lent):
        base, mine = base_of(kind), f"{name}_"
        if base in self.structs and "room" not in opts:
            return self.struct_answer(self.structs[base], name, opts)
        room = opts.get("room", "1")
        if "->" in room:
            first, rest = room.split("->")
            room = f"{first}_->{rest}" if first in lent else room
        before = [f"auto* {mine} = crossing.room(\"{name}\", {name}, {self.expression(room, '')});"]
        count = f"*{opts['count']}_" if "count" in opts else None
        after = []
        if count:
            after.append(f"crossing.at_most(Path{{nullptr, \"{opts['count']}\"}}, {count}, {self.expression(room, '')});")
        set_count = count or self.expression(room, "")
        if kind == "tensor**":
            return before, mine, after + [f"crossing.give_tensors(\"{name}\", {mine}, {name}, {set_count});"]
        after.append(f"crossing.give(\"{name}\", {mine}, {name}, {set_count});")
        if kind in ("void**", "instance**"):
            after.append(f"crossing.non_null(Path{{nullptr, \"{name}\"}}, *{mine});")
        return before, mine, after

    def struct_answer(self, struct, name, opts):
        mine, rooms = f"{name}_", [(f[1], options(f)) for f in struct["fields"] if "room" in options(f)]
        before = [f"auto* {mine} = crossing.room_for(\"{name}\", {name});"]
        after = [f"crossing.answer(\"{name}\", *{mine}, {'Lent::kStep' if opts.get('lent') == 'step' else 'Lent::kCall'});"]
        if rooms:
            path = f"const Path {name}_at{{nullptr, \"{name}\"}};"
            before += [path, f"tenon_{struct['name']} {name}_open{{}};", f"if ({mine} != nullptr) {{"]
            before += [f"  crossing.field_room({{&{name}_at, \"{field}\"}}, {mine}->{field}, {mine}->{o['room']});" for field, o in rooms]
            before += [f"  {name}_open = *{mine};", "}"]
            for field, o in rooms:
                after += [f"crossing.same_pointer({{&{name}_at, \"{field}\"}}, {mine}->{field}, {name}_open.{field});",
                          f"crossing.at_most({{&{name}_at, \"{o['count']}\"}}, {mine}->{o['count']}, {name}_open.{o['room']});",
                          f"crossing.give(\"{field}\", {name}_open.{field}, {name}->{field}, {mine}->{o['count']});",
                          f"{mine}->{field} = {name}->{field};", f"{mine}->{o['room']} = {name}->{o['room']};"]
        return before, mine, after + [f"crossing.fill(*{mine}, {name});"]

    # ---- files ----
    def lend_op(self):
        out = ["// The struct that an op record is, by its type.",
               "const tenon_hdr* Crossing::lend_op(const char* name, const tenon_hdr* op) {", "  non_null(Path{nullptr, name}, op);",
               "  if (!may_pass()) return nullptr;", "  switch (op->type) {"]
        for struct in self.structs.values():
            if struct.get("op"):
                out += [f"    case TENON_OP_{struct['op'].upper()}: {{",
                        f"      auto* copy = lend(name, reinterpret_cast<const tenon_{struct['name']}*>(op), 1);",
                        "      return copy != nullptr ? &copy->hdr : nullptr;", "    }"]
        return out + ["    default:", "      one_of(Path{nullptr, name}, op->type, kOp);", "      return nullptr;", "  }", "}", ""]

    def header(self):
        out = [f"// {self.banner}", "// Checked tables: each calls the real one behind it if the call keeps the IDL's rules.",
               "#pragma once", "", '#include "core/iface/boundary.h"', ""]
        out += [f'#include "tenon/abi/{face.name}.h"' for face in self.faces]
        out += ["", "namespace tenon::iface {", ""]
        for face in self.faces:
            if face.name == "plugin":
                for call in face.calls:
                    returns, params = face.slot_signature(call)
                    out.append(f"{returns} plugin_{call['name']}(CheckedTable& table, {params}) noexcept;")
            else:
                first = "ctx: null" if face.host_side else "self"
                out.append(f"const {face.table}& checked_table(const {face.table}&);  // {first} is a CheckedTable*" if not face.host_side
                           else f"const {face.table}& checked_table(const {face.table}&);  // ctx is to be a CheckedTable*")
        return "\n".join(out + ["", "}  // namespace tenon::iface", ""])

    def source(self):
        out = [f"// {self.banner}", '#include "core/iface/checked_tables.h"', "", '#include "core/iface/crossing.h"', "",
               "namespace tenon::iface {", ""]
        used = sorted({options(f)["enum"] for s in self.structs.values() for f in s["fields"] if "enum" in options(f)}
                      | {options(a)["enum"] for face in self.faces for c in face.calls for a in c["args"] if "enum" in options(a)} | {"op"})
        out.append("namespace {")
        for name in used:
            values = ", ".join(str(value[1]) for value in self.enums[name]["values"])
            out.append(f"constexpr std::int64_t k{self.pascal(name)}[] = {{{values}}};")
        out += ["}  // namespace", ""]
        out += [f"void visit(Crossing& crossing, const Path& at, tenon_{name}& s);" for name in self.structs] + [""]
        for struct in self.structs.values():
            out += self.visitor(struct)
        out += self.lend_op()
        for face in self.faces:
            if face.name != "plugin":
                out += ["namespace {"]
            for index, call in enumerate(face.calls):
                out += self.function(face, index, call)
            if face.name == "plugin":
                continue
            slots = ", ".join(f"&{face.name}_{call['name']}" for call in face.calls)
            ctx = "nullptr, " if face.host_side else ""
            out += ["}  // namespace", f"const {face.table}& checked_table(const {face.table}&) {{",
                    f"  static constexpr {face.table} kTable = {{{{sizeof({face.table}), 0, nullptr}}, {ctx}{slots}}};",
                    "  return kTable;", "}", ""]
        return "\n".join(out + ["}  // namespace tenon::iface", ""])
