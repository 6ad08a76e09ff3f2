import { CfnBudget } from "aws-cdk-lib/aws-budgets";
import { ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { Topic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";

type Props = { monthlyUsd: number; topic: Topic };

/** Says so when 80 % of the month's money is spent, and when the forecast exceeds all of it. It stops nothing. */
export class Budget extends Construct {
  constructor(scope: Construct, id: string, { monthlyUsd, topic }: Props) {
    super(scope, id);
    topic.grantPublish(new ServicePrincipal("budgets.amazonaws.com"));
    const notify = (notificationType: "ACTUAL" | "FORECASTED", threshold: number) => ({
      notification: { notificationType, threshold, thresholdType: "PERCENTAGE", comparisonOperator: "GREATER_THAN" },
      subscribers: [{ subscriptionType: "SNS", address: topic.topicArn }],
    });
    new CfnBudget(this, "Monthly", {
      budget: { budgetType: "COST", timeUnit: "MONTHLY", budgetLimit: { amount: monthlyUsd, unit: "USD" } },
      notificationsWithSubscribers: [notify("ACTUAL", 80), notify("FORECASTED", 100)],
    });
  }
}
