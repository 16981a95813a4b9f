package work;

/** Where a customer is, and the rules by which an event moves on. */
enum Stage {
    none, awareness, consideration, purchase, retention, advocacy, lapsed;

    /** Whether silence makes such a customer lapse. */
    boolean canLapse() {
        return this == purchase || this == retention || this == advocacy;
    }

    /** The stage that an event of this type moves to, or null. */
    Stage after(String type, int views) {
        boolean ordered = type.equals("order_placed");
        return switch (this) {
            case none -> ordered ? purchase : awareness;
            case awareness -> ordered ? purchase : interested(type, views) ? consideration : null;
            case consideration -> ordered ? purchase : null;
            case lapsed -> ordered ? purchase : consideration;
            case purchase -> ordered || type.equals("support_requested") ? retention : praising(type);
            case retention -> praising(type);
            case advocacy -> null;
        };
    }

    private static boolean interested(String type, int views) {
        return type.equals("cart_added") || type.equals("email_clicked") || views >= 3;
    }

    private static Stage praising(String type) {
        return type.equals("referral_sent") || type.equals("review_written") ? advocacy : null;
    }
}
