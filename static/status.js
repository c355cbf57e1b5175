// The page is there at once; who of the workers answers is asked for behind it, since they are given a second.
const asking = document.querySelector("[data-ask]");

async function answered() {
  const response = await fetch(asking.dataset.ask, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(response.ok ? await response.text() : "", "text/html");
  return page.getElementById("services");
}

function fail() {
  asking.textContent = asking.dataset.failed;
  asking.classList.add("bad");
}

if (asking) {
  answered()
    .then((fresh) => (fresh ? document.getElementById("services").replaceWith(document.adoptNode(fresh)) : fail()))
    .catch(fail);
}
