// SPDX-License-Identifier: Apache-2.0
//
// The page's style and script, compiled in: the viewer needs no file beside itself and nothing from
// elsewhere.
#include "agent/viewer/page.hpp"

namespace tailrace::agent::viewer {

const std::string_view kPageStyle = R"css(
:root {
  color-scheme: light dark;
  --ground: #f6f7f5; --card: #ffffff; --ink: #1d2522; --soft: #5b6863; --line: #e0e5e1;
  --water: #1f6f78; --red: #a8322a; --red-ground: #fbe9e6; --amber: #7d5700; --amber-ground: #faf0d7;
  --blue: #27598f; --blue-ground: #e7eff8; --grey-ground: #edf0ee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131817; --card: #1b2221; --ink: #dfe6e2; --soft: #94a29c; --line: #2b3533;
    --water: #6fc3cb; --red: #f19a90; --red-ground: #43211e; --amber: #e5bf6b; --amber-ground: #3b2f14;
    --blue: #92bdec; --blue-ground: #1d2e42; --grey-ground: #273130;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 84rem; padding: 1.25rem 1.5rem 3rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Noto Sans", "DejaVu Sans", sans-serif;
}
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 2rem; }
h1 { margin: 0; font-size: 1.35rem; font-weight: 650; }
h1 span { color: var(--water); font-weight: 400; }
h2 { margin: 2rem 0 .6rem; font-size: 1.05rem; font-weight: 600; }
header p { margin: 0; color: var(--soft); }
code, .id, time, .number, dd { font-variant-numeric: tabular-nums; }
code, .id { font-family: ui-monospace, "Noto Sans Mono", "DejaVu Sans Mono", monospace; font-size: .88em; }
a { color: var(--water); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
#state { margin-left: 1rem; }
#state::before {
  content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .4em; border-radius: 50%;
  background: var(--water);
}
#state.lost::before { background: var(--red); }
#state.paused::before { background: var(--amber); }
.counters { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.1rem 0 0; }
.counter { padding: .7rem .9rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.counter dt, .counter small { color: var(--soft); font-size: .82rem; }
.counter dd { margin: 0; font-size: 1.3rem; line-height: 1.35; }
.counter small { display: block; }
.counter.warns { border-color: var(--red); }
.counter.warns dd { color: var(--red); }
progress { display: block; width: 100%; height: .3rem; margin: .2rem 0; appearance: none; border: 0; border-radius: 1rem; overflow: hidden; background: var(--grey-ground); }
progress::-webkit-progress-bar { background: var(--grey-ground); }
progress::-webkit-progress-value { background: var(--water); }
progress::-moz-progress-bar { background: var(--water); }
.table { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .38rem .8rem; text-align: left; vertical-align: baseline; white-space: nowrap; unicode-bidi: isolate; }
th { color: var(--soft); font-size: .82rem; font-weight: 500; border-bottom: 1px solid var(--line); }
tbody tr + tr td { border-top: 1px solid var(--line); }
tbody tr:hover { background: var(--grey-ground); }
th.number, td.number { text-align: right; }
td time { color: var(--soft); }
td.name { max-width: 26rem; overflow: hidden; text-overflow: ellipsis; }
td.body { width: 60%; white-space: normal; overflow-wrap: anywhere; min-width: 18rem; }
td small, .faint { color: var(--soft); }
.mark { display: inline-block; margin-right: .35rem; padding: 0 .45rem; border-radius: .3rem; font-size: .82rem; background: var(--grey-ground); color: var(--soft); }
.mark.error { background: var(--red-ground); color: var(--red); }
.mark.warn, .mark.unfinished { background: var(--amber-ground); color: var(--amber); }
.mark.info { background: var(--blue-ground); color: var(--blue); }
.empty { margin: 0; padding: 1.4rem 1rem; color: var(--soft); background: var(--card); border: 1px dashed var(--line); border-radius: .5rem; }
h1 a, h1 a:hover { color: inherit; text-decoration: none; }
:focus-visible { outline: 2px solid var(--water); outline-offset: 2px; border-radius: .2rem; }
td.attributes { white-space: normal; overflow-wrap: anywhere; min-width: 16rem; }
td.attributes div { font-size: .88rem; }
.attribute { margin-right: .5rem; }
.attribute b, .attributes dt { font-weight: 500; color: var(--soft); }
.waterfall { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow-x: auto; }
.waterfall summary, .axis {
  display: grid; grid-template-columns: minmax(12rem, 26rem) 8rem minmax(14rem, 1fr) 6rem; gap: .8rem; align-items: center;
  padding: .2rem .8rem; min-width: 44rem;
}
.axis { color: var(--soft); font-size: .82rem; border-bottom: 1px solid var(--line); }
.axis .ticks { display: flex; justify-content: space-between; }
.axis i { font-style: normal; }
.waterfall summary { cursor: pointer; list-style: none; }
.waterfall summary::-webkit-details-marker { display: none; }
.waterfall summary:hover, .waterfall details[open] > summary { background: var(--grey-ground); }
.waterfall .name, .waterfall .service { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: isolate; }
.waterfall .name .mark { margin: 0 0 0 .5rem; }
.waterfall .service { color: var(--soft); font-size: .88rem; }
.waterfall .number, .axis .number { text-align: right; font-variant-numeric: tabular-nums; }
.bar { display: block; width: 100%; height: 1rem; background: var(--grey-ground); border-radius: .2rem; }
.bar .fine { fill: var(--water); }
.bar .failed { fill: var(--red); }
.bar .open { fill: var(--amber-ground); stroke: var(--amber); stroke-width: 2; stroke-dasharray: 6 3; vector-effect: non-scaling-stroke; }
.bar .event { fill: var(--ink); }
.detail { padding: .4rem .8rem .8rem 1.6rem; border-bottom: 1px solid var(--line); }
.detail p { margin: .4rem 0 0; }
dl.attributes { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .3rem 0 0; }
dl.attributes dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate; }
.d1{padding-left:0.9rem}.d2{padding-left:1.8rem}.d3{padding-left:2.7rem}.d4{padding-left:3.6rem}.d5{padding-left:4.5rem}.d6{padding-left:5.4rem}.d7{padding-left:6.3rem}.d8{padding-left:7.2rem}.d9{padding-left:8.1rem}.d10{padding-left:9.0rem}.d11{padding-left:9.9rem}.d12{padding-left:10.8rem}.d13{padding-left:11.7rem}.d14{padding-left:12.6rem}.d15{padding-left:13.5rem}.d16{padding-left:14.4rem}.d17{padding-left:15.3rem}.d18{padding-left:16.2rem}.d19{padding-left:17.1rem}.d20{padding-left:18.0rem}.d21{padding-left:18.9rem}.d22{padding-left:19.8rem}.d23{padding-left:20.7rem}.d24{padding-left:21.6rem}
footer { margin-top: 2rem; color: var(--soft); font-size: .88rem; }
)css";

const std::string_view kPageScript = R"js('use strict';
// Fetches the page again and exchanges <main>. Waits while text is selected or the page is not seen.
const everyMs = 2000;
const state = document.getElementById('state');
function show(text, look) { state.textContent = text; state.className = look; }
async function refresh() {
  try {
    const selection = document.getSelection();
    if (document.hidden) return;
    if (selection && !selection.isCollapsed) { show('paused while text is selected', 'paused'); return; }
    const answer = await fetch('/', { cache: 'no-store' });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const scrolled = [...document.querySelectorAll('.table')].map((table) => table.scrollLeft);
    document.querySelector('main').replaceWith(document.adoptNode(fresh.querySelector('main')));
    document.querySelectorAll('.table').forEach((table, i) => { table.scrollLeft = scrolled[i] || 0; });
    show('live', '');
  } catch (problem) {
    show('viewer does not answer', 'lost');
  } finally {
    setTimeout(refresh, everyMs);
  }
}
setTimeout(refresh, everyMs);
)js";

}  // namespace tailrace::agent::viewer
