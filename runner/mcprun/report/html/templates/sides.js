// The two sides of a query, BASE left and HEAD right, with differences marked.

/** Number of unchanged calls in a row from which they are folded to one line. */
const MANY_SAME = 3;

const verdict = (name) => el('span', { class: `verdict ${name}` }, name);

const differs = (pair) => pair.some((all) => all.some(([, marked]) => marked));

const callPair = ({ state, numbers, titles, input, result, fails }) => {
  const number = numbers[1] === null ? numbers[0] : numbers[1];
  const isRed = fails && state !== 'same' && state !== 'removed';
  const summary = el('summary', {}, el('span', { class: 'note' }, `call ${number} `), el('code', {}, titles[1] || titles[0]),
    el('span', { class: `mark how ${isRed ? 'failed' : state}` }, isRed ? `${state}: error` : state));
  return el('details', { class: `pair ${state}`, open: state !== 'same' }, summary,
    state === 'changed' && !differs(input) ? null : el('h3', {}, 'Input'),
    state === 'changed' && !differs(input) ? null : both(input),
    el('h3', {}, 'Result'), both(result, '(none)', SIDES, fails));
};

/** Lay out all calls. Many unchanged ones in a row are one line. */
const callPairs = (calls) => {
  const nodes = [];
  for (let at = 0; at < calls.length;) {
    let end = at;
    while (end < calls.length && calls[end].state === 'same') end += 1;
    if (end - at > MANY_SAME) {
      nodes.push(el('details', { class: 'pair same' }, el('summary', {}, `${many(end - at, 'unchanged call')}`),
        calls.slice(at, end).map(callPair)));
      at = end;
    } else {
      nodes.push(callPair(calls[at]));
      at += 1;
    }
  }
  return nodes;
};

const sideHead = (side, at, name) =>
  el('div', { class: 'side' }, el('h2', {}, `${SIDES[at]}: ${name}`),
    side ? [el('p', {}, verdict(side.verdict), el('span', { class: 'note' }, ` stop: ${side.stop}`)),
      side.causes.map((cause) => el('div', { class: `finding ${side.verdict}` }, el('pre', {}, cause)))]
      : el('p', { class: 'note' }, 'not in this run'));

/** Lay out what was asked: once, or side by side if it differs. */
const prompts = (pair) => {
  const equal = pair.filter((text) => text !== null);
  if (!equal.length) return null;
  return el('div', { class: 'asked-for' }, el('h2', {}, 'Prompt'), el('pre', {}, equal[equal.length - 1]),
    equal.length === 2 && equal[0] !== equal[1] ? el('p', { class: 'note' }, 'In BASE: ', el('code', {}, equal[0])) : null);
};

/** Draw a query that differs. `value` is its island, or null if the page does not hold it. */
const comparison = (row, value, names) => {
  const head = el('div', { class: 'head' },
    el('h1', { tabindex: '-1' }, row.name, el('span', { class: `mark how ${row.how}` }, row.how)));
  if (!value) {
    return [head, el('ul', {}, row.changes.map((one) => el('li', {}, one))),
      el('p', { class: 'note' }, 'The side-by-side view was omitted to limit the size of this file. Run mcprun diff to see all differences.')];
  }
  const isSame = ({ state }) => state === 'same';
  return [
    head,
    prompts(value.prompts),
    el('div', { class: 'sides both' }, value.sides.map((side, at) => sideHead(side, at, names[at]))),
    value.notes.filter(({ what }) => what !== 'verdict' && what !== 'text')
      .map(({ what, sides, fails }) => [el('h3', {}, what), both(sides, '(none)', SIDES, fails)]),
    value.calls.length
      ? [el('h2', { class: 'apart' }, 'Tool calls'), value.calls.every(isSame) ? el('p', { class: 'note' }, 'No differences in tool calls.') : null,
        callPairs(value.calls)]
      : el('p', { class: 'note apart' }, 'No tool calls.'),
    el('details', { class: 'pair', open: value.notes.some(({ what }) => what === 'text') },
      el('summary', {}, 'Final text'), both(value.text)),
  ].flat(Infinity).filter(Boolean);
};
