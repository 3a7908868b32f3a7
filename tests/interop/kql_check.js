// Parses KQL with Microsoft's own parser, against given tables and functions.
// stdin: {"tables": {NAME: "(column:type, …)"}, "functions": [{"name", "body"}], "queries": {NAME: TEXT}}
// stdout: {NAME: [diagnostic, …]}, of functions and queries; "columns of NAME": the columns of a function's result.
const path = require("path");
const folder = path.join(process.argv[2], "node_modules", "@kusto", "language-service-next");
require(path.join(folder, "bridge.min.js"));
require(path.join(folder, "Kusto.Language.Bridge.min.js"));
const K = Kusto.Language, S = K.Symbols;
const given = JSON.parse(require("fs").readFileSync(0, "utf-8"));

const members = Object.entries(given.tables).map(([name, columns]) => S.TableSymbol.From(columns).WithName(name));
let state = null;
const globals = () => (state ??= K.GlobalState.Default.WithDatabase(new S.DatabaseSymbol.$ctor3("db", null, members.slice())));

function parsed(text) {
    const code = K.KustoCode.ParseAndAnalyze(text, globals());
    const found = code.GetDiagnostics();
    const said = [];
    for (let at = 0; at < found.Count; at++) {
        const one = found.getItem(at);
        said.push(`${one.Code} at ${one.Start}: ${one.Message}: ${text.substr(one.Start, one.Length)}`);
    }
    return [said, code];
}

const answer = {};
for (const { name, body } of given.functions) {
    const [said, code] = parsed(body);
    answer[name] = said;
    const columns = code.ResultType.Columns;
    answer[`columns of ${name}`] = Array.from({ length: columns.Count }, (_, at) => columns.getItem(at).Name);
    members.push(new S.FunctionSymbol.$ctor16(name, "()", `{ ${body} }`, null));
    state = null;
}
for (const [name, text] of Object.entries(given.queries)) answer[name] = parsed(text)[0];
console.log(JSON.stringify(answer));
