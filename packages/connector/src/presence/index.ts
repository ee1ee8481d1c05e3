// Presence: what the connector publishes about itself and its models.
export { modelCard } from './model-card.ts'
export { Presence } from './presence.ts'
