// The trending board, filled by the page's own call.
"use strict";
fetch("/aweme/v1/web/hot/search/list/?detail_list=1&source=6&board_type=0&board_sub_type=").then((reply) => reply.json()).then(function (answer) {
  const list = document.querySelector("[data-e2e='hot-list']");
  for (const entry of answer.data.word_list) {
    const row = document.createElement("li"), place = document.createElement("b"), link = document.createElement("a"), heat = document.createElement("span");
    place.textContent = entry.position;
    link.textContent = entry.word;
    link.href = "//www.douyin.com/search/" + encodeURIComponent(entry.word) + "?type=general&source=hot_board&sentence_id=" + entry.sentence_id;
    heat.textContent = (entry.hot_value / 10000).toFixed(1) + "万";
    row.append(place, link, heat);
    list.append(row);
  }
});
