// An example of a router for other topics: `plant/{line}/features` is a request from that line.
import type { Delivery, ExposedModel, Routed, Router } from '../../packages/connector/src/step.ts'

/** Routes requests to the default operation of one model; the reply topic is `plant/{line}/{replyLevel}`. */
export class PlantRouter implements Router {
  readonly #model: () => ExposedModel
  readonly #replyLevel: string

  constructor(model: () => ExposedModel, replyLevel = 'scores') {
    this.#model = model
    this.#replyLevel = replyLevel
  }

  filters(): readonly string[] {
    return ['plant/+/features']
  }

  route({ topic, properties, qos }: Delivery): Routed | undefined {
    const line = /^plant\/([^/]+)\/features$/.exec(topic)?.[1]
    if (line === undefined) return undefined
    const model = this.#model()
    return {
      client: line,
      model,
      operation: model.defaultOperation,
      id: undefined,
      target: {
        topic: `plant/${line}/${this.#replyLevel}`,
        correlationData: properties.correlationData,
        qos: qos === 0 ? 0 : 1,
      },
    }
  }
}
