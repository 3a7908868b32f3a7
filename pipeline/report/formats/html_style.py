"""The look of a page: dark on white, at the width of a telephone, of a screen, and on paper."""

STYLE = """
:root{color-scheme:light;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--band:#f3f5f7;--bar:#1f5fa8;--blind:#d5d9de;
--good:#116329;--warn:#8a4600;--warn-back:#fff6e5}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px;max-width:1600px;background:#fff;color:var(--ink);
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Noto Sans","DejaVu Sans",sans-serif}
h1{font-size:24px;line-height:1.2;margin:0 0 4px}
h2{font-size:16px;margin:28px 0 8px}
p{margin:0 0 8px}
.question{font-size:16px;color:var(--soft)}
.outcome{font-size:16px;font-weight:600;margin:12px 0}
.statement{border:1px solid var(--line);border-left:6px solid var(--warn);border-radius:4px;padding:10px 16px 6px;margin:16px 0}
.statement.complete{border-left-color:var(--good)}
.statement h2{margin:0 0 8px}
dl{margin:0;display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 16px}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
dd div+div{margin-top:2px}
dt.warn,dd.warn{color:var(--warn)}
figure{margin:16px 0}
svg{display:block;width:100%;height:110px;overflow:visible}
.bar{fill:var(--bar)}.blind{fill:var(--blind)}.base{stroke:var(--soft);stroke-width:1;vector-effect:non-scaling-stroke}
.ends{display:flex;justify-content:space-between;gap:12px;font-size:12px;color:var(--soft);margin-top:4px}
figcaption{font-size:12px;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{text-align:left;vertical-align:top;padding:5px 8px;border-bottom:1px solid var(--line);overflow-wrap:anywhere;
white-space:pre-line}
thead th{border-bottom:2px solid var(--ink);font-weight:600;overflow-wrap:normal;vertical-align:bottom}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td time{font-variant-numeric:tabular-nums}
time span,.whole{white-space:nowrap}
.remark{color:var(--soft)}
tr.group th{background:var(--band);font-weight:600;border-top:1px solid var(--line)}
tr.group.inner th{background:#fff;padding-left:24px}
tr.group th>span{font-weight:400;color:var(--soft);margin-right:6px}
td.ids{font-size:12px;color:var(--soft);min-width:5.5em}
summary{cursor:pointer;white-space:nowrap}
ul{margin:0;padding-left:20px}
li{margin:2px 0}
footer{margin-top:28px;padding-top:8px;border-top:1px solid var(--line);color:var(--soft);font-size:12px}
@media (max-width:720px){
body{padding:14px}
dl{grid-template-columns:minmax(0,1fr);gap:0}dd{margin-bottom:8px}
.rows table,.rows tbody,.rows tr,.rows th,.rows td{display:block;width:auto}
.rows thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.rows tr.row{border:1px solid var(--line);border-radius:4px;margin:8px 0;padding:4px 0}
.rows tr.row td{border:0;padding:3px 10px;display:grid;grid-template-columns:32% minmax(0,1fr);gap:8px;text-align:left}
.rows tr.row td::before{content:attr(data-title);color:var(--soft);white-space:normal}
.rows tr.row td:empty{display:none}
}
@media print{
@page{size:A4 landscape;margin:12mm}
body{padding:0;max-width:none;font-size:10pt}
table{font-size:8pt}
thead{display:table-header-group}
tr,figure,.statement{break-inside:avoid}
tr.group,h2{break-after:avoid}
th,td{padding:3px 5px}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
""".strip()
