// Ctrl-C and its kin, as a flag that long work looks at.
#pragma once

namespace tenon::app {

// From now on SIGINT, SIGTERM and SIGHUP set the flag; a second one ends the process at once, with
// exit code 130. SIGXFSZ is ignored, so that a write past a file size limit is an ordinary error.
void install_interrupt_handlers();

bool interrupted();

// For a conversation, in which an interrupt ends an answer and not the program.
void clear_interrupt();

}  // namespace tenon::app
