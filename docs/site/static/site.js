// What a keyboard and a screen reader need beyond the theme: code that scrolls can be reached, and the captions of
// the sidebar have a level.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll('.caption[role="heading"]')) caption.setAttribute("aria-level", "2");
  for (const code of document.querySelectorAll("pre, article table, .cell_output")) {
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
  }
});
