// Where the answer to a request may go.
import { Problem, type MessageProperties, type QoS, type TopicSpace } from '@inferwire/protocol'
import type { ReplyTarget } from '../step.ts'

/** The parts of a delivery that decide where its answer goes. */
export interface Addressed {
  readonly topic: string
  readonly qos: QoS
  readonly properties: MessageProperties
}

/**
 * The derived reply topic: the one address that also a forged request can only reach its own forger's subtree
 * with. Undefined where nobody could be addressed.
 */
export function derivedTarget(topics: TopicSpace, delivery: Addressed): ReplyTarget | undefined {
  const topic = topics.replyTopicOf(delivery.topic)
  if (topic === undefined) return undefined
  return { topic, correlationData: delivery.properties.correlationData, qos: delivery.qos === 0 ? 0 : 1 }
}

/**
 * The Response Topic, where the request names one that its client may use.
 * @throws Problem `response_topic_forbidden`: a topic elsewhere would lend our rights to the client.
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
      `The Response Topic must be a topic name inside "${topics.root}/reply/${client}/"; this reply is on the derived topic instead.`,
    )
  }
  return { topic: responseTopic, correlationData: derived.correlationData, qos: derived.qos }
}
