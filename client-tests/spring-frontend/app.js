// A page as many are that talk to Spring's broker: stompjs over sockjs-client, a topic, an application destination, and
// answers to oneself. It knows nothing of the server behind /ws.

let client = null;

function connect() {
  client = Stomp.over(new SockJS('/ws'));
  client.debug = null;
  client.connect({}, () => {
    client.subscribe('/topic/greetings', (message) => show('greetings', message));
    client.subscribe('/user/queue/answers', (message) => show('answers', message));
    connected(true);
  });
}

function disconnect() {
  client.disconnect(() => connected(false));
}

function sendName() {
  const name = document.getElementById('name').value;
  client.send('/app/hello', { 'content-type': 'application/json' }, JSON.stringify({ name }));
}

function show(list, message) {
  const item = document.createElement('li');
  item.textContent = JSON.parse(message.body).content;
  document.getElementById(list).append(item);
}

function connected(yes) {
  document.getElementById('connect').disabled = yes;
  document.getElementById('disconnect').disabled = !yes;
}

addEventListener('DOMContentLoaded', () => {
  for (const form of document.forms) form.addEventListener('submit', (event) => event.preventDefault());
  document.getElementById('connect').addEventListener('click', connect);
  document.getElementById('disconnect').addEventListener('click', disconnect);
  document.getElementById('hello').addEventListener('submit', sendName);
});
