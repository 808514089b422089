// Comma separated values (RFC 4180): rows as objects by the names in the first line.
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

// A row as a unicorn to enroll; cells that are empty are left out.
export function unicornOf(row) {
  const { latitude, longitude, auto_accept: accepts, ...words } = row;
  const unicorn = Object.fromEntries(Object.entries(words).filter(([, value]) => value));
  if (accepts) unicorn.auto_accept = !["false", "no", "0"].includes(accepts.toLowerCase());
  if (latitude && longitude) unicorn.location = { latitude: Number(latitude), longitude: Number(longitude) };
  return unicorn;
}
