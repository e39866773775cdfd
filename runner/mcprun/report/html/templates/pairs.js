// Two values side by side, line by line, with differences marked.

const SIDES = ['BASE', 'HEAD'];

/** Lines of context around a difference. Longer runs of equal lines are folded. */
const CONTEXT = 3;

/** Lay out a line: its text, or, if words in it differ, its parts, of which every second one differs. */
const words = (text) => (Array.isArray(text)
  ? text.map((part, at) => (at % 2 ? el('span', { class: 'word-mark' }, part) : part)) : text);

const line = ([text, differs], side) =>
  el('span', { class: differs ? `line marked ${side ? 'after' : 'before'}` : 'line' },
    el('span', { class: 'sign' }, differs ? (side ? '+' : '-') : ' '), words(text), '\n');

/** Return the ranges of equal lines to fold, given for each line whether it differs. */
const folds = (marks) => {
  if (!marks.includes(true)) return [];
  const ranges = [];
  let start = 0;
  for (let at = 0; at <= marks.length; at += 1) {
    if (at < marks.length && !marks[at]) continue;
    const [from, to] = [start ? start + CONTEXT : 0, at < marks.length ? at - CONTEXT : at];
    if (to - from > 1) ranges.push([from, to]);
    start = at + 1;
  }
  return ranges;
};

/** Lay out the lines of one side, with these ranges folded. Returns the element and its folds. */
const foldedLines = (all, side, ranges) => {
  const nodes = [];
  let at = 0;
  const folded = ranges.map(([from, to]) => {
    const fold = el('details', { class: 'fold' }, el('summary', {}, many(to - from, 'unchanged line')),
      all.slice(from, to).map((one) => line(one, side)));
    nodes.push(all.slice(at, from).map((one) => line(one, side)), fold);
    at = to;
    return fold;
  });
  return [el('pre', { class: 'lines' }, nodes, all.slice(at).map((one) => line(one, side))), folded];
};

const lines = (all, side) => foldedLines(all, side, folds(all.map(([, differs]) => Boolean(differs))))[0];

/** Lay out two lists of lines side by side. `fails` is whether the second one is an error, which is never green. */
const both = (pair, absent = '(none)', names = SIDES, fails = false) => {
  const marks = pair.map((all) => all.map(([, differs]) => Boolean(differs)));
  const level = pair[0].length === pair[1].length;
  const ranges = level ? folds(marks[0].map((mark, at) => mark || marks[1][at])) : null;
  const made = pair.map((all, side) => (all.length ? foldedLines(all, side, ranges || folds(marks[side])) : null));
  if (level && made[0]) {
    made[0][1].forEach((fold, at) => {
      const other = made[1][1][at];
      fold.addEventListener('toggle', () => { other.open = fold.open; });
      other.addEventListener('toggle', () => { fold.open = other.open; });
    });
  }
  return el('div', { class: fails ? 'sides fails' : 'sides' }, made.map((one, side) =>
    el('div', { class: 'side' }, el('span', { class: 'label' }, names[side]),
      one ? one[0] : el('p', { class: 'note' }, absent))));
};

