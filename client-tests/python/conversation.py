"""stomp.py over a plain WebSocket: connects, subscribes, sends, and says what came, as lines of JSON.

usage: conversation.py PORT TEXT-OR-BINARY
"""

import json
import sys
import threading

import stomp

PATIENCE = 15


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.messages = []
        self.changed = threading.Condition()

    def on_message(self, frame):
        with self.changed:
            self.messages.append(frame)
            self.changed.notify_all()

    def wait(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.messages) >= count, PATIENCE):
                sys.exit(f"{count} messages, of which {len(self.messages)} came")


def connect(port, binary):
    connection = stomp.WSStompConnection([("127.0.0.1", port)], ws_path="/ws/websocket", binary_mode=binary)
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect(wait=True)
    return connection, listener


def main(port, binary):
    destination = f"/topic/python-{'binary' if binary else 'text'}"
    connection, listener = connect(port, binary)
    connection.subscribe(destination, id="1", ack="client-individual")
    connection.send(destination, "plain")
    connection.send(destination, "zwei\nZeilen ü", headers={"note": "a:b\\c"})
    transaction = connection.begin()
    connection.send(destination, "committed", transaction=transaction)
    listener.wait(2)
    connection.commit(transaction)
    listener.wait(3)
    for message in listener.messages:
        connection.ack(message.headers["ack"])
    after = listener.messages[0].headers["message-id"]
    connection.disconnect()
    again, since = connect(port, binary)
    again.subscribe(destination, id="2", headers={"after": after})
    since.wait(2)
    again.disconnect()
    for message in listener.messages + since.messages:
        print(json.dumps({"body": message.body, "note": message.headers.get("note")}))


main(int(sys.argv[1]), sys.argv[2] == "binary")
