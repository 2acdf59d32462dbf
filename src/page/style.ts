/** All of it, for both themes; colours are chosen for a contrast of at least 4.5 to 1. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#f4f6f9;--card:#fff;--ink:#1b2129;--dim:#55606e;--line:#d5dbe3;--link:#0a53b8;
--goes:#0f6b35;--goes-bg:#dff5e6;--stays:#a3142b;--stays-bg:#fdE8ea;--asks:#7a4b00;--asks-bg:#fdf1d3;--crown:#b27600;--shadow:0 1px 2px #1b212914,0 2px 8px #1b21290a}
@media(prefers-color-scheme:dark){:root{--bg:#0e1318;--card:#171d25;--ink:#e6ebf1;--dim:#9aa7b5;--line:#2c3540;--link:#7db7ff;
--goes:#5fd68b;--goes-bg:#12301f;--stays:#ff9aa2;--stays-bg:#3a171d;--asks:#f0c162;--asks-bg:#34280f;--crown:#f0c162;--shadow:none}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
h1,h2,h3,p,ul{margin:0}
a{color:var(--link);text-underline-offset:.15em}
code{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.5rem 1rem;z-index:2}
.top,main,.bottom{max-width:76rem;margin:0 auto;padding:0 1.25rem}
.top{display:flex;gap:1rem;align-items:center;justify-content:space-between;padding-top:1.5rem}
.top p{color:var(--dim)}
h1{font-size:1.5rem;letter-spacing:-.01em;line-height:1.25}
h1 a{color:inherit;text-decoration:none}
h1 small{font-size:.85rem;font-weight:500;color:var(--dim)}
.live{flex:none;display:flex;gap:.5rem;align-items:center;font-size:.875rem;padding:.3rem .75rem;border:1px solid var(--line);border-radius:99px;background:var(--card)}
.live .mark{width:.6rem;height:.6rem;border-radius:50%;border:2px solid var(--dim)}
.live[data-state=live]{color:var(--goes);border-color:currentColor}
.live[data-state=live] .mark{background:currentColor;border-color:currentColor;animation:beat 2s ease-in-out infinite}
.live[data-state=stale]{color:var(--asks);background:var(--asks-bg);border-color:currentColor;font-weight:600;position:sticky;top:.5rem;z-index:1}
.live[data-state=stale] .mark{border-color:currentColor;border-radius:0;transform:rotate(45deg)}
@keyframes beat{50%{opacity:.35}}
.summary{display:flex;flex-wrap:wrap;gap:.5rem;list-style:none;padding:1.25rem 0 0}
.summary li{padding:.4rem .9rem;border:1px solid var(--line);border-radius:.5rem;background:var(--card);box-shadow:var(--shadow)}
.summary strong{font-size:1.1rem}
.mark{font-weight:700}
.summary .mark{margin-right:.35rem}
.summary .trouble{color:var(--stays);border-color:currentColor;background:var(--stays-bg)}
.summary .fine{color:var(--goes)}
.summary .unknown{color:var(--asks)}
.summary .none{color:var(--dim)}
section{margin-top:2rem}
.section-head{display:flex;flex-wrap:wrap;gap:.75rem 1.5rem;align-items:end;justify-content:space-between}
h2{font-size:1.2rem;line-height:1.4}
.filters{display:flex;flex-wrap:wrap;gap:.5rem .75rem;align-items:center;font-size:.875rem}
.filters label{display:flex;gap:.4rem;align-items:center;color:var(--dim)}
input,select,button{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--dim);border-radius:.4rem;padding:.3rem .55rem;min-height:2rem}
input{width:15rem;max-width:100%}
select{max-width:12rem}
button{cursor:pointer;font-weight:600;background:var(--ink);color:var(--bg);border-color:var(--ink);padding:.3rem .9rem}
.explanation{margin-top:.6rem;font-size:.875rem;color:var(--dim);max-width:52rem}
summary{cursor:pointer;width:fit-content}
.explanation p{margin-top:.4rem}
.guards{display:grid;gap:1rem;margin-top:.9rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;box-shadow:var(--shadow);padding:1rem 1.25rem;border-left:5px solid var(--line);min-width:0}
.card.fine{border-left-color:var(--goes)}
.card.trouble{border-left-color:var(--stays)}
.card.unknown{border-left-color:var(--asks)}
.card header{display:flex;gap:1rem;justify-content:space-between;align-items:baseline}
h3{font-size:1.05rem;line-height:1.4;min-width:0}
h3 a{color:inherit;text-decoration:none}
h3 a:hover{text-decoration:underline}
.standing{flex:none;font-size:.8rem;font-weight:600;padding:.1rem .6rem;border-radius:99px}
.standing.fine{color:var(--goes);background:var(--goes-bg)}
.standing.trouble{color:var(--stays);background:var(--stays-bg)}
.standing.unknown{color:var(--asks);background:var(--asks-bg)}
.standing.fine::before{content:"✓ "}.standing.trouble::before{content:"! "}.standing.unknown::before{content:"? "}
.headline{margin-top:.25rem;max-width:60rem;text-wrap:pretty}
.note{margin-top:.6rem;padding:.5rem .75rem;border-radius:.4rem;color:var(--asks);background:var(--asks-bg)}
.note a{color:inherit}
.alarm{margin-top:1rem;padding:.75rem 1rem;border-radius:.5rem;color:var(--stays);background:var(--stays-bg);border:1px solid currentColor}
.cluster-and-pods{display:grid;grid-template-columns:minmax(14rem,19rem) minmax(0,1fr);gap:1.25rem;align-items:start;margin-top:.75rem}
.cluster{width:100%;height:auto;max-height:24rem;display:block}
.cluster text{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round;font-size:12px;text-anchor:middle;fill:var(--ink);unicode-bidi:plaintext}
.cluster .label{font-weight:600}
.cluster .under{font-size:11.5px;fill:var(--dim)}
.cluster .under.goes{fill:var(--goes);font-weight:600}
.cluster .under.stays{fill:var(--stays);font-weight:600}
.cluster .under.asks{fill:var(--asks);font-weight:600}
.cluster .more{fill:var(--dim);font-size:11px;text-anchor:start}
.cluster .more[text-anchor=end]{text-anchor:end}
.link{stroke:var(--dim);stroke-width:1.5;opacity:.75}
.link.Unhealthy{stroke-dasharray:7 5}
.link.Unknown{stroke-dasharray:2 5}
.border{stroke:var(--line);stroke-dasharray:4 4}
.member{stroke-width:2.5;fill:var(--card)}
.member.Healthy{stroke:var(--goes);fill:var(--goes-bg)}
.member.Unhealthy{stroke:var(--stays);fill:var(--stays-bg);stroke-dasharray:9 4}
.member.Unknown{stroke:var(--asks);fill:var(--asks-bg);stroke-dasharray:3 4}
.sign{fill:none;stroke-width:3.2;stroke-linecap:round;stroke-linejoin:round}
.Healthy .sign{stroke:var(--goes)}
.Unhealthy .sign{stroke:var(--stays)}
.cluster .question{stroke:none;font-size:22px;font-weight:700;fill:var(--asks)}
.crown{fill:var(--crown)}
.nobody{fill:none;stroke:var(--dim);stroke-width:2;stroke-dasharray:4 5}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:start;vertical-align:top;padding:.55rem .75rem;border-top:1px solid var(--line)}
thead th{border-top:0;padding-top:0;font-size:.8rem;font-weight:600;color:var(--dim);white-space:nowrap}
th[scope=row]{font-weight:600}
.pods th:first-child,.pods td:first-child{padding-left:0}
.pods th[scope=row]{max-width:16rem;min-width:5rem}
.pods td:nth-child(2){width:32%}
.pods td:nth-child(3){width:50%}
.role,.by{display:block}
.flag{display:inline-block}
.health.Healthy{color:var(--goes)}
.health.Unhealthy{color:var(--stays)}
.health.Unknown{color:var(--asks)}
.lag::before{content:" · "}
.lag,.by,.aside{color:var(--dim);font-size:.85rem}
.by{font-weight:400}
.flag{font-size:.8rem;padding:0 .5rem;border-radius:.3rem;color:var(--asks);background:var(--asks-bg)}
.verdict{display:inline-flex;flex-wrap:wrap;gap:.15rem .45rem;align-items:baseline;font-weight:700;padding:.05rem .6rem;border-radius:.4rem}
.verdict code{font-weight:500}
.verdict.goes{color:var(--goes);background:var(--goes-bg)}
.verdict.stays{color:var(--stays);background:var(--stays-bg)}
.verdict.asks{color:var(--asks);background:var(--asks-bg)}
.pods details{font-size:.85rem;color:var(--dim)}
.message{white-space:pre-line}
.card footer{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin-top:.75rem;padding-top:.6rem;border-top:1px solid var(--line);font-size:.8rem;color:var(--dim)}
.card.changed{animation:flash 2.5s ease-out}
@keyframes flash{from{box-shadow:0 0 0 4px var(--link)}}
.nothing{padding:1.25rem 0;color:var(--dim)}
.pages{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:center;margin-top:1.25rem}
.aside{margin-top:.3rem;max-width:60rem}
.scrolls{margin-top:.75rem;overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.75rem;box-shadow:var(--shadow);padding:.75rem .5rem}
.scrolls .nothing{padding:.5rem .75rem}
.decisions time{white-space:nowrap;font-variant-numeric:tabular-nums}
.decisions td{overflow-wrap:normal}
.decisions .verdict{white-space:nowrap;flex-wrap:nowrap}
.decisions td.message{min-width:20rem;overflow-wrap:anywhere}
.decisions th[scope=row]{min-width:11rem;max-width:18rem}
.bottom{display:flex;flex-wrap:wrap;gap:.5rem 2rem;justify-content:space-between;margin-top:2.5rem;padding-top:1rem;padding-bottom:2rem;font-size:.875rem;color:var(--dim);border-top:1px solid var(--line)}
.bottom nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem}
@media(max-width:52rem){.cluster-and-pods{grid-template-columns:minmax(0,1fr)}.cluster{max-width:22rem;margin:0 auto}}
@media(max-width:38rem){.top{flex-direction:column;align-items:flex-start;gap:.6rem;padding-top:1rem}.top,main,.bottom{padding-left:.8rem;padding-right:.8rem}
.card{padding:.8rem .9rem}.card header{flex-wrap:wrap;gap:.25rem .75rem}
.filters label{flex:1 1 100%;justify-content:space-between}.filters input,.filters select{flex:1;max-width:15rem;min-width:0}
.pods thead,.decisions thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.pods tr,.decisions tr{display:block;border-top:1px solid var(--line);padding:.5rem 0}
.pods tr:first-child,.decisions tr:first-child{border-top:0}
.pods th,.pods td,.decisions th,.decisions td{display:block;border:0;padding:.1rem 0;width:auto!important;max-width:none!important;min-width:0!important}
.pods td .role{display:inline}.pods td .health::before{content:" · ";color:var(--dim)}
.scrolls{padding:.25rem .8rem}}
@media(prefers-reduced-motion:reduce){*,*::before{animation:none!important;transition:none!important;scroll-behavior:auto!important}}
@media(forced-colors:active){.card,.verdict,.standing,.flag{border:1px solid}.member{fill:Canvas;stroke:CanvasText}.sign{stroke:CanvasText!important}}
`;
