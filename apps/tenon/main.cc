#include <exception>

#include "apps/tenon/cli.h"
#include "apps/tenon/interrupt.h"

extern const char* const kRevision;  // revision.cmake

namespace {

int run(int argc, char** argv) {
  using namespace tenon::app;  // NOLINT(google-build-using-namespace)
  auto command = parse_command_line(argc, argv);
  if (!command.ok()) {
    report_error(command.error());
    return kExitUsage;
  }
  install_interrupt_handlers();
  return std::visit(
      [](auto& args) {
        if constexpr (requires { args.revision; }) args.revision = kRevision;
        return run_command(args);
      },
      *command);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    // Only running out of memory should come here; it is still an error, not an abort.
    return tenon::app::report_error({.code = tenon::Code::kInternal,
                                     .id = "TENON-A099",
                                     .message = "unexpected exception",
                                     .found = error.what()});
  }
}
