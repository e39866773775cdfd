// The base of all pages. Text becomes text nodes, never markup: no script sets innerHTML.

/** Create an element: attributes by name, listeners as `onclick` and so on; children are nodes, text or null. */
const el = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};

/** Read a JSON island of the page; null if there is none. */
const island = (id) => {
  const node = document.getElementById(id);
  return node && JSON.parse(node.textContent);
};

/** Format a whole number: `1,234`. The first use of toLocaleString takes as long as drawing the page. */
const grouped = (number) => String(number).replace(/\B(?=(?:\d{3})+$)/g, ',');

const plural = (word) => (word.endsWith('y') ? `${word.slice(0, -1)}ies` : `${word}s`);

const many = (count, word) => `${grouped(count)} ${count === 1 ? word : plural(word)}`;

/** Format a duration in seconds: `4 ms`, `1.25 s`, `3 min 20 s`. */
const time = (seconds) => {
  if (seconds === null || seconds === undefined) return '';
  if (seconds < 0.01) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${Number(seconds.toPrecision(3))} s`;
  const whole = Math.round(seconds);
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
    : `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`;
};

/** Return the text that a search covers: all text in a JSON value except keys and images. */
const textOf = (value) => {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(textOf).join('\n');
  if (value === null || typeof value !== 'object') return '';
  return Object.entries(value)
    .filter(([key]) => key !== 'kind' && key !== 'data')
    .map(([, item]) => textOf(item))
    .join('\n');
};

/** Add a switch between the light and dark themes; the default is the system's. */
const offerScheme = () => {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const button = document.getElementById('scheme');
  let chosen = null;
  const isDark = () => (chosen === null ? dark.matches : chosen === 'dark');
  const name = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
  };
  button.addEventListener('click', () => {
    chosen = isDark() ? 'light' : 'dark';
    document.documentElement.dataset.scheme = chosen;
    name();
  });
  dark.addEventListener('change', name);
  name();
  button.hidden = false;
};
