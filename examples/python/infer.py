"""Sends a request to a model over MQTT with paho-mqtt, and prints the reply.

    python infer.py iris predict '{"instances":[[6.8,2.8,4.8,1.4]]}'
    python infer.py --mqtt-version 3.1.1 iris predict '{"instances":[[6.8,2.8,4.8,1.4]]}'

It implements only the wire contract and needs no Inferwire package. Exit codes: 0 for success, 1 for an error reply or
a refusal by the broker, 124 for no reply in time.
"""
import argparse
import math
import queue
import sys
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

parser = argparse.ArgumentParser(description="Send a request to a model over MQTT and print the reply.")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=1883)
parser.add_argument("--username", help="also the {client} level of the topics")
parser.add_argument("--password-file")
parser.add_argument("--root", default="infer")
parser.add_argument("--mqtt-version", choices=["5", "3.1.1"], default="5")
parser.add_argument("--timeout", type=float, default=10, help="seconds")
parser.add_argument("model")
parser.add_argument("operation")
parser.add_argument("body")
args = parser.parse_args()

# The {client} level. A broker with access rules allows a user to publish only under its own name.
identity = args.username or f"python-{uuid.uuid4().hex[:8]}"
request_id = uuid.uuid4().hex
is_v5 = args.mqtt_version == "5"
connected, subscribed, published, replies = queue.Queue(), queue.Queue(), queue.Queue(), queue.Queue()

client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    client_id=f"{identity}-{request_id[:8]}",
    protocol=mqtt.MQTTv5 if is_v5 else mqtt.MQTTv311,
)
if args.username:
    password = None
    if args.password_file:
        try:
            password = open(args.password_file).read().rstrip("\r\n")
        except OSError as error:
            sys.exit(f"Cannot read the password file: {error}")
    client.username_pw_set(args.username, password)
client.on_connect = lambda *event: connected.put(event[3])
client.on_subscribe = lambda *event: subscribed.put(event[3][0])
client.on_publish = lambda *event: published.put(event[3])
client.on_message = lambda _client, _userdata, message: replies.put(message)


def wait(events, what):
    try:
        return events.get(timeout=args.timeout)
    except queue.Empty:
        print(f"No {what} within {args.timeout:g} s.", file=sys.stderr)
        sys.exit(124)


def ask():
    """Publishes the request. MQTT 5 has properties for reply topic and id; on MQTT 3.1.1 the topic ends with the id."""
    if is_v5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = reply_topic
        properties.CorrelationData = request_id.encode()
        properties.ContentType = "application/json"
        properties.MessageExpiryInterval = math.ceil(args.timeout)
        topic = f"{args.root}/request/{identity}/{args.model}/{args.operation}"
        client.publish(topic, args.body, qos=1, properties=properties)
    else:
        topic = f"{args.root}/request/{identity}/{args.model}/{args.operation}/{request_id}"
        client.publish(topic, args.body, qos=1)


def is_ours(message):
    if not is_v5:
        return message.topic == reply_topic
    return getattr(message.properties, "CorrelationData", None) == request_id.encode()


# The reply arrives on the request topic with `request` replaced by `reply`, or on the Response Topic.
reply_topic = f"{args.root}/reply/{identity}/{args.model}/{args.operation}/{request_id}"
try:
    client.connect(args.host, args.port)
except OSError as error:
    sys.exit(f"Cannot connect to the broker at {args.host}:{args.port}: {error}")
client.loop_start()
reason = wait(connected, "connection")
if reason.is_failure:
    sys.exit(f"The broker refused the connection: {reason}")
# Subscribe before publishing; otherwise a fast reply could be lost.
client.subscribe(reply_topic, qos=1)
reason = wait(subscribed, "subscription")
if reason.is_failure:
    sys.exit(f"The broker refused the subscription to {reply_topic}: {reason}")
ask()
reason = wait(published, "acknowledgement of the request")
if reason.is_failure:
    sys.exit(f"The broker refused the request: {reason}")
if reason == "No matching subscribers":
    sys.exit("No connector is subscribed to the request topic.")
reply = wait(replies, "reply")
while not is_ours(reply):
    reply = wait(replies, "reply")
client.disconnect()
client.loop_stop()

properties = dict(getattr(reply.properties, "UserProperty", [])) if is_v5 else {}
print(reply.payload.decode())
if is_v5:
    print(f"status {properties.get('status')} {properties.get('code', '')}".rstrip(), file=sys.stderr)
    is_error = int(properties.get("status", "500")) >= 400
else:
    # Without properties, only the body identifies an error: it begins with the member "error".
    is_error = reply.payload.lstrip().startswith(b'{"error"')
sys.exit(1 if is_error else 0)
