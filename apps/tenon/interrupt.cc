#include "apps/tenon/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <initializer_list>

namespace tenon::app {
namespace {

volatile sig_atomic_t flag = 0;

void on_signal(int) {
  if (flag) _exit(130);
  flag = 1;
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    // A parent such as nohup that ignores the signal means it.
    struct sigaction old = {};
    sigaction(signal_number, nullptr, &old);
    if (old.sa_handler != SIG_IGN) sigaction(signal_number, &action, nullptr);
  }
  signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() { return flag != 0; }

void clear_interrupt() { flag = 0; }

}  // namespace tenon::app
