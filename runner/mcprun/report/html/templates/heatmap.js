// Outcomes of a tool's calls, which the cells of the heat map filter by.

const OUTCOMES = ['ok', 'error', 'timeout', 'diverged'];

/** Return the outcomes of each of a row's tools, as sums of 1, 2, 4 and 8. */
const outcomesOf = (row, data) => data.outcomes[row.number] || row.tools.map(() => 1);

/** Return the choices of the chooser `outcome`: of the chosen tool, or of any. */
const outcomeChoices = (rows, data) => OUTCOMES.map((name, at) => {
  const of = (row, tool) => outcomesOf(row, data).some((sum, nth) => (sum >> at) & 1 && (tool === null || row.tools[nth] === tool));
  return {
    name,
    test: (row, chosen) => {
      const tool = [...chosen].find(([{ key }]) => key === 'tool');
      return of(row, tool ? tool[1].at : null);
    },
    exists: rows.some((row) => of(row, null)),
  };
}).filter(({ exists }) => exists);
