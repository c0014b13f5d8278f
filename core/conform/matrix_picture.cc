// docs/reference/compatibility.svg: the lower triangle, names at the left and below, a letter in
// every cell.
#include "core/conform/matrix.h"
#include "core/conform/matrix_marks.h"

namespace tenon::conform {
namespace {

constexpr int kCell = 34, kLeft = 268, kTop = 64, kMargin = 16;

struct Look {
  const char *fill, *ink, *meaning;
};
// By Mark. Fills differ in lightness too, so that a grey print shows them apart.
constexpr Look kLooks[] = {{"#cfe8d5", "#14532d", "works"},
                           {"#f6e3a1", "#5c4300", "degraded: works, and what is lost is said"},
                           {"#9db4d0", "#0b2545", "conflict: refused by contract, not run"},
                           {"#f1f1f1", "#555555", "untested: not run beside the defaults"},
                           {"#8f1d1d", "#ffffff", "disagrees: a contract is not true"}};

const Look& look_of(Mark mark) { return kLooks[static_cast<std::size_t>(mark)]; }

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

std::string number(int value) { return std::to_string(value); }

std::string text_at(int x, int y, const std::string& more, const std::string& text) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\"" + more + ">" + escaped(text) +
         "</text>\n";
}

std::string box(int x, int y, int width, const Look& look, const std::string& letter,
                const std::string& title) {
  std::string out = "<g><title>" + escaped(title) + "</title><rect x=\"" + number(x) + "\" y=\"" +
                    number(y) + "\" width=\"" + number(width) + "\" height=\"" + number(kCell - 2) +
                    "\" rx=\"3\" fill=\"" + look.fill + "\"/>";
  return out +
         text_at(x + width / 2, y + kCell / 2 + 4,
                 std::string(width < kCell / 2 ? " class=\"m h\"" : " class=\"m\"") + " fill=\"" +
                     look.ink + "\"",
                 letter) +
         "</g>\n";
}

// One box, or, for a cache with itself, two halves.
std::string boxes(const std::vector<const MatrixCell*>& cells, int x, int y) {
  if (cells.empty())
    return "<rect x=\"" + number(x) + "\" y=\"" + number(y) + "\" width=\"" + number(kCell - 2) +
           "\" height=\"" + number(kCell - 2) + "\" rx=\"3\" fill=\"none\" stroke=\"#e2e2e2\"/>\n";
  std::string out;
  const int n = static_cast<int>(cells.size()), width = (kCell - 2 - (n - 1)) / n;
  for (int i = 0; i < n; ++i) {
    const MatrixCell& cell = *cells[static_cast<std::size_t>(i)];
    const bool chain = cell.parts.size() == 2 && cell.parts[0] == cell.parts[1];
    out += box(x + i * (width + 1), y, width, look_of(cell.mark),
               std::string(1, mark_letter(cell.mark)),
               cell.name() + (cell.parts.size() == 1 ? " beside the defaults" : "") +
                   (chain ? " in a chain" : "") + ": " + mark_name(cell.mark) +
                   (cell.reason.empty() ? "" : ": " + cell.reason));
  }
  return out;
}

// Names at the left; a line and the kind's name where a kind begins.
std::string names(const MatrixParts& plugins) {
  std::string out;
  for (std::size_t i = 0; i < plugins.size(); ++i) {
    const int y = kTop + static_cast<int>(i) * kCell;
    const std::string& kind = plugins[i]->descriptor.kind;
    if (i == 0 || plugins[i - 1]->descriptor.kind != kind) {
      if (i > 0)
        out += "<path d=\"M" + number(kMargin) + " " + number(y - 1) + "H" +
               number(kLeft + static_cast<int>(i) * kCell) + "\" stroke=\"#bbbbbb\"/>\n";
      out += text_at(kMargin, y + kCell / 2 + 4, " class=\"k\"", kind);
    }
    out += text_at(kLeft - 8, y + kCell / 2 + 4, " text-anchor=\"end\"", plugins[i]->descriptor.id);
  }
  return out;
}

// Below each column, upwards to the left.
std::string names_below(const MatrixParts& plugins) {
  std::string out;
  const int y = kTop + static_cast<int>(plugins.size()) * kCell + 14;
  for (std::size_t i = 0; i < plugins.size(); ++i) {
    const int x = kLeft + static_cast<int>(i) * kCell + kCell / 2 + 3;
    out += text_at(
        x, y, " text-anchor=\"end\" transform=\"rotate(-45 " + number(x) + " " + number(y) + ")\"",
        plugins[i]->descriptor.id);
  }
  return out;
}

// In the empty triangle at the upper right.
std::string legend(std::size_t plugins) {
  const int x = kLeft + static_cast<int>(plugins) * kCell - 120;
  std::string out;
  int y = kTop;
  for (std::size_t mark = 0; mark < std::size(kLooks); ++mark, y += kCell)
    out += box(x, y, kCell - 2, kLooks[mark], std::string(1, mark_letter(static_cast<Mark>(mark))),
               kLooks[mark].meaning) +
           text_at(x + kCell + 6, y + kCell / 2 + 4, "", kLooks[mark].meaning);
  return out;
}

}  // namespace

std::string matrix_picture(const Matrix& matrix) {
  const MatrixParts& plugins = matrix.plugins();
  const int n = static_cast<int>(plugins.size()), width = kLeft + n * kCell + 240,
            height = kTop + n * kCell + 150;
  std::string out =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width) + " " +
      number(height) + "\" width=\"" + number(width) + "\" height=\"" + number(height) +
      "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n"
      "<style>.m{font-weight:bold;font-size:13px;text-anchor:middle}.h{font-size:10px}"
      ".k{fill:#777777;font-size:11px}.t{font-size:16px;font-weight:bold}</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  out += text_at(kMargin, 30, " class=\"t\"", "Every plugin beside every other one");
  out +=
      text_at(kMargin, 48, " class=\"k\"",
              "diagonal: beside the defaults, for a cache also in a chain with itself; no letter: "
              "one role, one plugin");
  for (int i = 0; i < n; ++i)
    for (int j = 0; j <= i; ++j)
      out += boxes(cells_between(matrix, plugins[static_cast<std::size_t>(j)],
                                 plugins[static_cast<std::size_t>(i)]),
                   kLeft + j * kCell + 1, kTop + i * kCell + 1);
  return out + names(plugins) + names_below(plugins) + legend(plugins.size()) + "</svg>\n";
}

}  // namespace tenon::conform
