// Let the keyboard reach every region that scrolls, as long as it does (WCAG 2.2, 2.1.1).

const scrolls = (node) => {
  if (node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight) return false;
  const { overflowX, overflowY } = getComputedStyle(node);
  const isScroller = (overflow) => overflow === 'auto' || overflow === 'scroll';
  return (isScroller(overflowX) && node.scrollWidth > node.clientWidth)
    || (isScroller(overflowY) && node.scrollHeight > node.clientHeight);
};

const updateScrolling = () => {
  for (const node of document.querySelectorAll('main *, dialog *')) {
    const mark = 'scrolls' in node.dataset;
    if (scrolls(node) === mark) continue;
    node.toggleAttribute('data-scrolls', !mark);
    if (mark) node.removeAttribute('tabindex');
    else node.setAttribute('tabindex', '0');
  }
};

let scrollingIsDue = false;
const scheduleScrolling = () => {
  if (scrollingIsDue) return;
  scrollingIsDue = true;
  requestAnimationFrame(() => setTimeout(() => { // after the page is painted, since measuring takes as long again
    scrollingIsDue = false;
    updateScrolling();
  }));
};

new MutationObserver(scheduleScrolling)
  .observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['open', 'hidden', 'class'] });
addEventListener('resize', scheduleScrolling);
scheduleScrolling();
