// What the page shows, kept in the fragment of its address: `#f=failed,flaky&tool=refund&s=words&sort=-time&q=ID&call=3`.

/** Decode a part of the address. One that was typed by hand may hold a bare `%`. */
const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Return the parts of the address by name. A part without a value is ignored. */
const readAddress = () => {
  const parts = new Map();
  for (const part of location.hash.slice(1).split('&')) {
    const at = part.indexOf('=');
    if (at > 0 && at < part.length - 1) parts.set(part.slice(0, at), decoded(part.slice(at + 1)));
  }
  return parts;
};

/** Return the fragment for these parts, pairs of a name and a value; those that are empty are left out. */
const addressOf = (parts) => {
  const text = [...parts].filter(([, value]) => value !== '' && value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll('%2C', ',')}`);
  return `#${text.join('&')}`;
};

/** Return the link to a call of the open query. */
const callLink = (number) => addressOf(readAddress().set('call', number));

/** Set each row's `key`, the value of `q` that opens it: its name, with the row's number if that is taken. */
const link = (rows) => {
  const taken = new Set();
  rows.forEach((row, number) => {
    row.key = taken.has(row.name) ? `${row.name}~${number}` : row.name;
    row.link = addressOf([['q', row.key]]);
    taken.add(row.key);
  });
};

/** Return a query's id, and the repeat if it is not the first: `add (3)`. */
const named = (id, repeat) => (repeat > 1 ? `${id} (${repeat})` : id);
