// What a keyboard and a screen reader need beyond the theme: code that scrolls can be reached, the captions of the
// sidebar have a level, its two drawers have names, and what opens a hidden output is called as it reads.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll('.caption[role="heading"]')) caption.setAttribute("aria-level", "2");
  for (const summary of document.querySelectorAll("details.hide summary")) summary.removeAttribute("aria-label");
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "This page");
  for (const code of document.querySelectorAll("pre, article table, .cell_output")) {
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
  }
});
