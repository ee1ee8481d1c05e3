// Converts the properties of a PUBLISH to and from mqtt.js's format.
import type { MessageProperties } from '@inferwire/protocol'
import type { IClientPublishOptions, IPublishPacket } from 'mqtt'

type MqttProperties = NonNullable<IClientPublishOptions['properties']>

/** Converts properties for mqtt.js. User properties become an object, which preserves the order of insertion. */
export function toMqttProperties(properties: MessageProperties): MqttProperties {
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic } = properties
  const { correlationData, userProperties } = properties
  return {
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator: payloadFormatIndicator === 1 }),
    ...(messageExpiryInterval === undefined ? {} : { messageExpiryInterval }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData: correlationData as Buffer }),
    // mqtt-packet fails to write the packet if this object is empty.
    ...(userProperties === undefined || userProperties.length === 0
      ? {}
      : { userProperties: toObject(userProperties) }),
  }
}

/** Converts the properties of a received packet. Omits malformed properties, for which mqtt-packet returns null. */
export function fromMqttProperties({ properties }: IPublishPacket): MessageProperties {
  const result: MessageProperties = {}
  if (properties === undefined || properties === null) return result
  const { contentType, correlationData, userProperties } = properties as Record<string, unknown>
  if (typeof contentType === 'string') result.contentType = contentType
  if (correlationData instanceof Uint8Array) result.correlationData = correlationData
  if (typeof userProperties === 'object' && userProperties !== null) {
    result.userProperties = Object.entries(userProperties).flatMap(([name, values]) =>
      [values].flat().flatMap((value: unknown) => (typeof value === 'string' ? [name, value] : [])),
    )
  }
  return result
}

function toObject(list: readonly string[]): Record<string, string[]> {
  const object = Object.create(null) as Record<string, string[]>
  for (let index = 0; index + 1 < list.length; index += 2) {
    ;(object[list[index]!] ??= []).push(list[index + 1]!)
  }
  return object
}
