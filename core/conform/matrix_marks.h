// How the page and the picture show a cell. Internal to this folder.
#pragma once

#include <vector>

#include "core/conform/matrix.h"

namespace tenon::conform {

char mark_letter(Mark mark);  // W, D, C, U, X

// The wanted cells of two plugins, in the order of Matrix::plugins(). Of one with itself: beside
// the defaults, then in a chain.
std::vector<const MatrixCell*> cells_between(const Matrix& matrix, const PluginFile* a,
                                             const PluginFile* b);

}  // namespace tenon::conform
