// A list that starts empty and grows as one scrolls; what a card looks like, and what the call returns, is the platform's.
"use strict";
(function () {
  const config = JSON.parse(document.getElementById("list-config").textContent);
  const spinner = document.querySelector(".spinner"), end = document.querySelector(".end");
  const box = document.querySelector("[data-e2e$='item-list'], [data-e2e='scroll-list'], [data-e2e='user-post-list'], .video-container");
  const items = [];
  let cursor = 0, busy = false, done = false, walled = false, batches = 0, session = "";

  const platforms = { tiktok, douyin, kuaishou };
  const platform = platforms[config.platform]();

  async function more() {
    if (busy || done) return;
    busy = true;
    spinner.hidden = false;
    try {
      const answer = await platform.fetch();
      batches += 1;
      items.push(...answer.items);
      platform.draw(answer.items);
      cursor = answer.cursor;
      done = !answer.more;
      if (config.loginAfter && batches >= config.loginAfter && !done) { done = walled = true; askForLogin(); }
    } catch (error) {
      done = true;
    }
    spinner.hidden = true;
    end.hidden = !done || walled;
    busy = false;
    if (!done && document.documentElement.scrollHeight <= innerHeight + 200) setTimeout(more, 50);
  }

  function near() { return innerHeight + scrollY > document.documentElement.scrollHeight - 300; }
  addEventListener("scroll", function () { platform.scrolled(); if (near()) more(); });
  more();

  function get(extra) {
    const query = new URLSearchParams({ ...config.query, ...extra });
    return fetch(config.api + "?" + query, { credentials: "include" }).then((reply) => reply.json());
  }

  function make(markup) {
    const template = document.createElement("template");
    template.innerHTML = markup;
    return template.content.firstElementChild;
  }

  function safe(text) {
    return String(text).replace(/[&<>"']/g, (letter) => "&#" + letter.charCodeAt(0) + ";");
  }

  function short(number) {
    if (config.platform === "tiktok") return number >= 1e6 ? (number / 1e6).toFixed(1) + "M" : number >= 1e4 ? (number / 1e3).toFixed(1) + "K" : String(number);
    return number >= 1e8 ? (number / 1e8).toFixed(1) + "亿" : number >= 1e4 ? (number / 1e4).toFixed(1) + "万" : String(number);
  }

  function askForLogin() {
    const panel = { douyin: "login-panel-new", kuaishou: "login-panel" }[config.platform];
    document.body.append(make(panel
      ? '<div class="modal"><div id="' + panel + '"><p>登录</p><input placeholder="手机号"><div id="animate_qrcode_container"></div><p>登录后即可观看更多精彩视频</p></div></div>'
      : '<div class="modal"><div id="loginContainer" data-e2e="login-modal"><h2>Log in to TikTok</h2><p>Log in to follow creators and see more videos.</p></div></div>'));
  }

  function tiktok() {
    const item = { "user-post": "user-post-item", challenge: "challenge-item", explore: "explore-item", search_top: "search_top-item" }[config.kind];
    return {
      scrolled() {},
      async fetch() {
        const reply = await get({ cursor, msToken: (document.cookie.match(/msToken=([^;]+)/) || [])[1] || "", "X-Bogus": config.token });
        return { items: reply.itemList || reply.item_list || [], cursor: Number(reply.cursor), more: reply.hasMore || reply.has_more === 1 };
      },
      draw(batch) {
        for (const post of batch) {
          const href = "https://www.tiktok.com/@" + post.author.uniqueId + (post.imagePost ? "/photo/" : "/video/") + post.id;
          box.append(make(`<div class="card css-x6y88p-DivItemContainerV2" data-e2e="${item}"><a href="${safe(href)}"><img alt="${safe(post.desc)}" src="${safe((post.video || {}).cover || "")}"></a>` +
            `<strong class="count" data-e2e="video-views">${short(post.stats.playCount)}</strong>${post.isAd ? '<span class="ad" data-e2e="ad-tag">Sponsored</span>' : ""}` +
            `<p data-e2e="challenge-item-desc"><a href="${safe(href)}">${safe(post.desc)}</a></p></div>`));
        }
      },
    };
  }

  function douyin() {
    const height = 374, columns = 4;
    return {
      scrolled() { this.draw(); },
      async fetch() {
        const paging = config.kind === "user" ? { max_cursor: cursor } : { offset: cursor, search_id: session };
        const reply = await get({ ...paging, device_platform: "webapp", aid: "6383", channel: "channel_pc_web", a_bogus: config.token });
        session = (reply.log_pb || {}).impr_id || session;
        const list = reply.aweme_list || (reply.data || []).filter((entry) => entry.type === 1).map((entry) => entry.aweme_info);
        return { items: list, cursor: reply.max_cursor ?? reply.cursor, more: Boolean(reply.has_more) };
      },
      // Only the rows in view are in the document: whoever looks once, at the end, sees but the last of them.
      draw() {
        box.style.height = Math.ceil(items.length / columns) * height + "px";
        const first = Math.max(0, Math.floor((scrollY - box.offsetTop) / height) - 1) * columns;
        const last = first + (Math.ceil(innerHeight / height) + 2) * columns;
        box.replaceChildren(...items.slice(first, last).map((post, index) => card(post, first + index)));
      },
    };
    function card(post, index) {
      const path = post.images ? "note" : "video";
      const node = make(`<li class="SwZLHMKk"><a class="card hY8lWHgA" href="//www.douyin.com/${path}/${post.aweme_id}"><img alt="${safe(post.desc)}" src="${safe(post.video.cover.url_list[0])}">` +
        `<span class="count">${short(post.statistics.digg_count)}</span>${post.is_ads ? '<span class="ad">广告</span>' : ""}<p class="VDYK8Xd7">${safe(post.desc)}</p></a></li>`);
      node.style.top = Math.floor(index / columns) * height + "px";
      node.style.left = (index % columns) * 25 + "%";
      return node;
    }
  }

  function kuaishou() {
    return {
      scrolled() {},
      async fetch() {
        const answer = await fetch(config.api + "?caver=2&__NS_hxfalcon=" + config.token, {
          method: "POST", credentials: "include", headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ ...config.query, pcursor: cursor ? String(cursor) : "", searchSessionId: session }),
        });
        const reply = await answer.json();
        session = reply.searchSessionId || session;
        if (reply.result === 2001) document.body.append(make('<div class="modal"><div class="kwai-captcha captcha-wrapper">请完成安全验证</div></div>'));
        return { items: reply.feeds || [], cursor: reply.pcursor, more: reply.result === 1 && reply.pcursor !== "no_more" };
      },
      draw(batch) {
        for (const feed of batch) {
          const node = make(`<div class="card video-card video-item vertical"><div class="video-card-main"><img class="poster-img" alt="" src="${safe(feed.photo.coverUrl)}"></div>` +
            `<span class="count">${safe(feed.photo.likeCount)}</span><p class="video-info-title">${safe(feed.photo.caption)}</p></div>`);
          node.addEventListener("click", () => open(feed));
          box.append(node);
        }
      },
    };
    function open(feed) {
      const back = location.href, key = config.query.keyword || "";
      history.pushState({}, "", `/short-video/${feed.photo.id}?authorId=${feed.author.id}&streamSource=search&area=searchxxnull&searchKey=${encodeURIComponent(key)}`);
      const modal = make(`<div class="modal short-video-wrapper"><div><button class="close-page">✕</button><video class="player-video" width="270" controls preload="none" poster="${safe(feed.photo.coverUrl)}"></video>` +
        `<div class="interactive-bar-item">${safe(feed.photo.likeCount)}</div></div></div>`);
      modal.querySelector(".close-page").addEventListener("click", function () { modal.remove(); history.pushState({}, "", back); });
      document.body.append(modal);
    }
  }
})();
