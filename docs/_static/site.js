// What scrolls sideways must be reachable with the keyboard; Safari does not see to it by itself.
function reachable() {
  for (const box of document.querySelectorAll("pre, .katex-display, .table-wrapper")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);
document.addEventListener("toggle", reachable, true); // a solution unfolds
