const now = document.getElementById("now");

function show() {
  const time = new Date();
  now.dateTime = time.toISOString();
  now.textContent = time.toLocaleTimeString();
}

show();
setInterval(show, 1000);
