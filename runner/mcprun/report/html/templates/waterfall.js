// One query's attempts, turns, calls and waits on a time axis.

const SPAN = ['kind', 'attempt', 'turn', 'call', 'label', 'start', 'seconds', 'problem'];

const spanName = (span) => {
  if (span.kind === 'attempt') return `attempt ${span.attempt}`;
  if (span.kind === 'wait') return 'wait';
  if (span.kind === 'call') return `call ${span.call} ${span.label}`;
  return `turn ${span.turn}`;
};

/** Draw the spans of a query (lists in the order of `SPAN`), if there are any. */
const waterfall = ({ spans, dropped = 0, waited = 0 }) => {
  const all = spans.map((cells) => Object.fromEntries(SPAN.map((name, at) => [name, cells[at]])));
  if (!all.length) return null;
  const end = Math.max(...all.map((span) => span.start + span.seconds)) || 1e-9;
  const several = all.some((span) => span.attempt > 1);
  const rows = all.filter((span) => several || span.kind !== 'attempt').map((span) => {
    const bar = el('span', { class: `span ${span.kind}${span.problem ? ' problem' : ''}` });
    bar.style.left = `${(100 * Math.max(0, span.start)) / end}%`;
    bar.style.width = `${(100 * span.seconds) / end}%`;
    const title = `${spanName(span)}: ${time(span.seconds)}, starts at ${time(span.start)}${span.problem ? `; ${span.problem}` : ''}`;
    return el('li', { title },
      el('span', { class: `what ${span.kind}` }, spanName(span)),
      el('span', { class: 'track' }, bar),
      el('span', { class: 'number' }, time(span.seconds)));
  });
  const notes = [`Total ${time(end)}`];
  if (waited) notes.push(`including ${time(waited)} of waiting`);
  if (dropped) notes.push(`${many(dropped, 'more span')} in trace.jsonl`);
  return el('div', { class: 'waterfall' }, el('ol', {}, rows), el('p', { class: 'note' }, `${notes.join(', ')}.`));
};
