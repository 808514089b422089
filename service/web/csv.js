// Reads comma-separated values (RFC 4180): each row as an object, by the names in the first line.
export function rowsOf(text) {
  const [names, ...rows] = linesOf(text.replace(/^\ufeff/, ""));
  return rows.filter((row) => row.some((cell) => cell.trim())).map((row) => Object.fromEntries((names ?? []).map((name, index) => [name.trim(), (row[index] ?? "").trim()])));
}

function linesOf(text) {
  const rows = [[]];
  const cell = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/gy;
  for (let found = cell.exec(text); found && (found[0] || found[3]); found = cell.exec(text)) {
    rows.at(-1).push(found[1]?.replaceAll('""', '"') ?? found[2]);
    if (found[3] !== "," && found[3]) rows.push([]);
    if (!found[3]) break;
  }
  return rows;
}

// The unicorn that a row describes, in the form of a request to enroll it. Empty cells are left out.
export function unicornOf(row) {
  const { latitude, longitude, auto_accept: accepts, ...words } = row;
  const unicorn = Object.fromEntries(Object.entries(words).filter(([, value]) => value));
  if (accepts) unicorn.auto_accept = !["false", "no", "0"].includes(accepts.toLowerCase());
  if (latitude && longitude) unicorn.location = { latitude: Number(latitude), longitude: Number(longitude) };
  return unicorn;
}
