// How a call or a value differs from that of the baseline or the recording: only the parts that changed.

/** The names of both sides, by the kind of the difference. */
const COMPARED = { against: ['Baseline', 'Now'], recorded: ['Recorded', 'Now'] };

const changedSide = (all, side, isError) => {
  if (!all.length) return el('span', { class: 'note' }, '(none)');
  return el('div', { class: isError ? 'fails' : null }, lines(all, side));
};

/** Draw the paths that differ as a table: path, before and after. */
const changedPaths = ({ what, paths, more }, names) => [
  el('table', { class: 'paths' },
    el('thead', {}, el('tr', {}, ['Path', ...names].map((name) => el('th', { scope: 'col' }, name)))),
    el('tbody', {}, paths.map(({ path, sides, errors }) => el('tr', {},
      el('th', { scope: 'row' }, el('code', {}, path || what)),
      sides.map((all, side) => el('td', { 'data-side': names[side] }, changedSide(all, side, errors[side]))))))),
  more ? el('p', { class: 'note' }, `… and ${many(more, 'more path')}.`) : null,
];

/** Return how each call differs, by its number: the difference and the names of both sides. */
const changedCalls = (value) => new Map(Object.entries(COMPARED).flatMap(([kind, names]) =>
  (value[kind] || []).filter(({ call }) => call !== null).map((one) => [one.call, { ...one, names }])));

/** List what differs. A difference of a call is a link to that call, which shows it; any other is drawn here. */
const changedList = (heading, all, names) => (all ? [
  el('h2', { class: 'apart' }, heading),
  el('ul', { class: 'plain changes' }, all.map((one) => el('li', {},
    one.what === 'verdict' ? one.paths.map(({ sides }) => [verdict(sides[0][0][0]), ' → ', verdict(sides[1][0][0])])
    : one.call === null ? [el('code', {}, one.title), changedPaths(one, names)]
      : el('a', { href: callLink(one.call) }, el('code', {}, one.title), changedNames(one))))),
] : []);

const NAMED = 3;

/** Name the first paths that differ: `: state, total`. */
const changedNames = ({ paths, more }) => {
  const all = paths.map(({ path }) => path).filter(Boolean);
  const left = all.length - NAMED + more;
  return all.length ? `: ${all.slice(0, NAMED).join(', ')}${left > 0 ? ` and ${grouped(left)} more` : ''}` : '';
};
