#include "core/format/chat_template.h"

#include "core/format/jinja_ast.h"
#include "core/format/jinja_interpreter.h"

namespace tenon {

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  auto parsed = std::make_shared<jinja::Template>();
  TENON_TRY(jinja::parse_template(source, *parsed));
  return ChatTemplate(std::move(parsed));
}

Result<std::string> ChatTemplate::render(std::span<const ChatMessage> messages,
                                         bool add_generation_prompt, std::string_view bos_token,
                                         std::string_view eos_token,
                                         const ChatTemplateLimits& limits) const {
  using jinja::Value;
  jinja::Interpreter interpreter(*parsed_, {.steps = limits.steps,
                                            .output_bytes = limits.output_bytes,
                                            .memory_bytes = limits.memory_bytes});
  jinja::Arena& arena = interpreter.arena();
  std::vector<Value> list;
  for (const ChatMessage& message : messages) {
    jinja::Dict* const dict = arena.dict();
    dict->set(Value::string("role"), Value::string(message.role));
    dict->set(Value::string("content"), Value::string(message.content));
    list.push_back(Value::of(dict));
  }
  jinja::Scope& globals = interpreter.globals();
  globals.set("messages", Value::of(arena.list(std::move(list))));
  globals.set("add_generation_prompt", Value::boolean(add_generation_prompt));
  globals.set("bos_token", Value::string(bos_token));
  globals.set("eos_token", Value::string(eos_token));
  // Defined, as models' own tooling defines them when a conversation has none.
  globals.set("tools", Value::none());
  globals.set("documents", Value::none());
  return interpreter.run();
}

}  // namespace tenon
