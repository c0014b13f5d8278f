# cmake -DSOURCE_DIR=... -DOUT=... -P revision.cmake: a source file with the commit that the tree is at.
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT revision)
  set(revision unknown)
endif()
file(WRITE ${OUT} "extern const char* const kRevision;\nconst char* const kRevision = \"${revision}\";\n")
