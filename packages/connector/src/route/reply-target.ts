// Determines the topic to which the reply to a request may be published.
import { Problem, type MessageProperties, type QoS, type TopicSpace } from '@inferwire/protocol'
import type { ReplyTarget } from '../step.ts'

/** The parts of a delivery that determine its reply topic. */
export interface Addressed {
  readonly topic: string
  readonly qos: QoS
  readonly properties: MessageProperties
}

/**
 * Returns the derived reply topic; undefined if none can be derived. The topic is safe even for a forged request: it
 * lies in the subtree of the client that the request topic names, and only that client can publish to the request
 * topic.
 */
export function derivedTarget(topics: TopicSpace, delivery: Addressed): ReplyTarget | undefined {
  const topic = topics.replyTopicOf(delivery.topic)
  if (topic === undefined) return undefined
  return { topic, correlationData: delivery.properties.correlationData, qos: delivery.qos === 0 ? 0 : 1 }
}

/**
 * Returns the Response Topic if the request has one that its client may use, otherwise the derived topic.
 * @throws Problem `response_topic_forbidden` for any other Response Topic: with it, the client could publish with our
 * access rights.
 */
export function requestedTarget(
  topics: TopicSpace,
  client: string,
  delivery: Addressed,
  derived: ReplyTarget,
): ReplyTarget {
  const responseTopic = delivery.properties.responseTopic
  if (responseTopic === undefined || responseTopic === derived.topic) return derived
  if (!topics.isOwnReplyTopic(client, responseTopic)) {
    throw new Problem(
      'response_topic_forbidden',
      `The Response Topic must be a topic name inside "${topics.root}/reply/${client}/"; this reply was published on the derived topic instead.`,
    )
  }
  return { topic: responseTopic, correlationData: derived.correlationData, qos: derived.qos }
}
